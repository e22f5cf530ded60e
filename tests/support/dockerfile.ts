/** The Dockerfile as data, stage by stage. Knows the instructions that ours uses, and throws at any other. */
import { Copy, DockerfileParser } from 'dockerfile-ast';

export type Step =
  | { readonly kind: 'workdir'; readonly path: string }
  | { readonly kind: 'run'; readonly command: string }
  | {
      readonly kind: 'copy';
      /** The stage copied from, or undefined for the build context. */
      readonly from: string | undefined;
      readonly sources: readonly string[];
      readonly target: string;
    }
  | { readonly kind: 'env'; readonly name: string; readonly value: string }
  | { readonly kind: 'user'; readonly name: string };

export interface Stage {
  /** Its name, else its number. */
  readonly name: string;
  /** The image or stage that it starts from. */
  readonly image: string;
  readonly steps: readonly Step[];
  /** In exec form, or undefined where there is none in that form. */
  readonly command: readonly string[] | undefined;
  readonly healthcheck: readonly string[] | undefined;
}

type Instruction = ReturnType<ReturnType<typeof DockerfileParser.parse>['getInstructions']>[number];

const stringList = (text: string): string[] | undefined => {
  if (!text.trimStart().startsWith('[')) return undefined;
  // The exec form is a JSON array of strings by definition; dockerfile-utils has validated it.
  return JSON.parse(text) as string[];
};

/** What follows the keyword and its flags. */
const argumentsOf = (instruction: Instruction): string => instruction.getArgumentsContent() ?? '';

function readStep(instruction: Instruction): Step[] {
  const text = argumentsOf(instruction);
  switch (instruction.getKeyword()) {
    case 'WORKDIR':
      return [{ kind: 'workdir', path: text }];
    case 'RUN':
      return [{ kind: 'run', command: text }];
    case 'USER':
      return [{ kind: 'user', name: text }];
    case 'ENV': {
      const [, name = '', value = ''] = /^(\w+)=(\S*)$/.exec(text) ?? [];
      if (name === '') throw new Error(`ENV: one NAME=value a line, not ${text}`);
      return [{ kind: 'env', name, value }];
    }
    case 'COPY': {
      const paths = text.split(/\s+/);
      const from = instruction instanceof Copy ? instruction.getFromFlag()?.getValue() : undefined;
      return [
        { kind: 'copy', from: from ?? undefined, sources: paths.slice(0, -1), target: paths.at(-1) ?? '' },
      ];
    }
    case 'EXPOSE':
    case 'STOPSIGNAL':
    case 'CMD':
    case 'HEALTHCHECK':
      return [];
    default:
      throw new Error(`the tests know no ${instruction.getKeyword()}: teach them`);
  }
}

export function parseDockerfile(text: string): Stage[] {
  const stages: Stage[] = [];
  let current: Instruction[] = [];
  const finish = (): void => {
    const [from, ...rest] = current;
    if (from === undefined) return;
    const [image = '', , name = String(stages.length)] = argumentsOf(from).split(/\s+/);
    const last = (keyword: string): string => {
      const found = rest.findLast((instruction) => instruction.getKeyword() === keyword);
      return found === undefined ? '' : argumentsOf(found);
    };
    stages.push({
      name,
      image,
      steps: rest.flatMap(readStep),
      command: stringList(last('CMD')),
      healthcheck: stringList(last('HEALTHCHECK').replace(/^CMD\s+/, '')),
    });
  };
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    if (instruction.getKeyword() === 'FROM') {
      finish();
      current = [];
    }
    current.push(instruction);
  }
  finish();
  return stages;
}

/** Lines of a .dockerignore that names folders and files only: patterns would need Docker's own matching. */
export function parseDockerignore(text: string): string[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const pattern = lines.find((line) => /[*?![\]]/.test(line));
  if (pattern !== undefined)
    throw new Error(`.dockerignore: ${pattern} is a pattern, and the tests read only names`);
  return lines;
}
