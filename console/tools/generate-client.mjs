// Writes src/api/generated from api/openapi.json: the types of every operation, and the table that the client runs on.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import openapiTS, { astToString } from 'openapi-typescript';

const contract = process.env.OWNHOUSE_OPENAPI ?? fileURLToPath(new URL('../../api/openapi.json', import.meta.url));
const out = fileURLToPath(new URL('../src/api/generated/', import.meta.url));
const document = JSON.parse(readFileSync(contract, 'utf8'));
const methods = ['get', 'post', 'put', 'patch', 'delete'];

const rows = [];
for (const [path, item] of Object.entries(document.paths)) {
  for (const method of methods) {
    const operation = item[method];
    if (!operation) continue;
    const open = Array.isArray(operation.security) && operation.security.length === 0;
    const permission = operation['x-permission'] ?? '';
    const takesBody = operation.requestBody ? 1 : 0;
    rows.push(`  ${operation.operationId}: ['${method.toUpperCase()}', '${path}', '${permission}', ${open}, ${takesBody}],`);
  }
}
mkdirSync(out, { recursive: true });
const head = '// Generated from api/openapi.json; not to be edited.\n';
writeFileSync(out + 'schema.d.ts', head + astToString(await openapiTS(document)));
writeFileSync(
  out + 'table.ts',
  `${head}/** Method, path, permission, whether it needs no session, whether it takes a body. */
export const table = {\n${rows.join('\n')}\n} as const;\n`,
);
