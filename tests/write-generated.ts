/** Writes what is generated from src: schema/openapi.json and docs/METRICS.md. Part of `npm run schema`. */
import { writeFile } from 'node:fs/promises';
import { openApiText } from './support/described-app.ts';
import { metricsDocument } from './support/metrics-document.ts';

await writeFile(new URL('../schema/openapi.json', import.meta.url), await openApiText());
await writeFile(new URL('../docs/METRICS.md', import.meta.url), await metricsDocument());
