/** The Dockerfile is sound, and keeps to rules of ours. Its RUN lines are carried out by tests/e2e/docker.test.ts. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { validate, ValidationSeverity } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';
import { parseDockerfile, parseDockerignore } from '../support/dockerfile.ts';
import { root } from '../support/sources.ts';

const text = await readFile(join(root, 'Dockerfile'), 'utf8');
const ignored = parseDockerignore(await readFile(join(root, '.dockerignore'), 'utf8'));
const stages = parseDockerfile(text);
const final = stages.at(-1);

const strict = {
  deprecatedMaintainer: ValidationSeverity.ERROR,
  directiveCasing: ValidationSeverity.ERROR,
  emptyContinuationLine: ValidationSeverity.ERROR,
  instructionCasing: ValidationSeverity.ERROR,
  instructionCmdMultiple: ValidationSeverity.ERROR,
  instructionEntrypointMultiple: ValidationSeverity.ERROR,
  instructionHealthcheckMultiple: ValidationSeverity.ERROR,
  instructionJSONInSingleQuotes: ValidationSeverity.ERROR,
  instructionWorkdirRelative: ValidationSeverity.ERROR,
};

describe('Dockerfile', () => {
  it('passes the linter', () => {
    expect(validate(text, strict).map((problem) => problem.message)).toEqual([]);
    expect(validate("FROM node:20\nrun ls\nCMD ['a']\n", strict)).not.toEqual([]);
  });

  it('starts every stage from an image with an exact tag, of the Node we test on', () => {
    const names = new Set(stages.map((stage) => stage.name));
    const images = stages.map((stage) => stage.image).filter((image) => !names.has(image));
    expect(new Set(images)).toEqual(new Set(['node:20-bookworm-slim']));
  });

  it('does not run as root', () => {
    const users = final?.steps.filter((step) => step.kind === 'user').map((step) => step.name);
    expect(users?.at(-1)).toBe('node');
  });

  it('runs node itself, in exec form, so that SIGTERM drains it', () => {
    expect(final?.command).toEqual(['node', 'dist/src/main.js']);
  });

  it('says whether it is healthy by /healthz, without a shell or curl', () => {
    expect(final?.healthcheck?.[0]).toBe('node');
    expect(final?.healthcheck?.join(' ')).toContain('/healthz');
  });

  it('listens on every interface, in production', () => {
    expect(final?.steps).toContainEqual({ kind: 'env', name: 'TURNOUT_HOST', value: '0.0.0.0' });
    expect(final?.steps).toContainEqual({ kind: 'env', name: 'NODE_ENV', value: 'production' });
  });

  it('keeps secrets, history and installed packages out of the build', () => {
    expect(ignored).toEqual(expect.arrayContaining(['.git', 'node_modules', 'dist', 'tests']));
    expect(text).not.toMatch(/(SECRET|TOKEN|PASSWORD)=/);
  });
});
