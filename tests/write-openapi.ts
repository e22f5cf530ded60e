/** Writes schema/openapi.json from the routes: part of `npm run schema`. tests/contract/openapi.test.ts holds it to them. */
import { writeFile } from 'node:fs/promises';
import { openApiText } from './support/described-app.ts';

await writeFile(new URL('../schema/openapi.json', import.meta.url), await openApiText());
