// The lines of the Connect dialog, copied as a person copies them and run as they are in an empty folder. A client whose
// program or package is not on this machine is skipped by its name.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch, Person } from './browser.mjs';

const peers = JSON.parse(process.env.OWNHOUSE_PEERS);
const there = (program) => spawnSync('bash', ['-c', `command -v ${program}`]).status === 0;
let browser;
let ada;
before(async () => {
  browser = await launch();
  ada = await Person.at(browser);
  const { page } = ada;
  await ada.signIn(process.env.OWNHOUSE_EMAIL, process.env.OWNHOUSE_PASSWORD);
  await ada.go(`/services/${process.env.OWNHOUSE_SERVICE}`);
  await page.getByRole('button', { name: 'Reset password' }).click();
  // What a shell, a string or a connection string would trip over.
  await page.getByRole('dialog').getByLabel('New password').fill(`it's a "hard" one; $HOME \\ 'x'`);
  await page.getByRole('dialog').getByRole('button', { name: 'Set this password' }).click();
  await page.getByRole('heading', { name: 'Connect to' }).waitFor();
});
after(async () => browser?.close());

async function lines(client) {
  const { page } = ada;
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('tab', { name: client, exact: true }).click();
  await dialog.getByRole('tabpanel').getByRole('button', { name: 'Copy', exact: true }).click();
  return page.evaluate(() => navigator.clipboard.readText());
}

/** A version, after whatever a program writes to colour a terminal. */
const VERSION = /(^|[^\d.])\d{2}\.\d+\.\d+/;

const run = (text, folder, env) => spawnSync('bash', ['-c', text], { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env }, timeout: 170000, stdio: ['ignore', 'pipe', 'pipe'] });

/** Runs the lines until they answer with a version of ClickHouse: the new password is on its way to the data plane. */
async function answers(client, env = {}) {
  const text = await lines(client);
  const folder = mkdtempSync(path.join(tmpdir(), 'ownhouse-paste-'));
  try {
    const deadline = Date.now() + 180000;
    for (;;) {
      const done = run(text, folder, env);
      if (done.status === 0 && VERSION.test(done.stdout)) return;
      assert.ok(Date.now() < deadline, `${client}: ${done.status} ${done.stdout} ${done.stderr}\n${readdirSync(folder)}`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same lines with an authority that signed nothing here: no answer, and a word on certificates. */
async function refuses(client, env = {}) {
  const text = await lines(client);
  const folder = mkdtempSync(path.join(tmpdir(), 'ownhouse-paste-'));
  try {
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null', '-subj', '/CN=OwnHouse data plane'], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    const other = text.replace(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----\n/, () => made.stdout);
    assert.notEqual(other, text);
    const done = run(other, folder, env);
    assert.notEqual(done.status, 0, done.stdout);
    assert.doesNotMatch(done.stdout, VERSION);
    assert.match(done.stdout + done.stderr, /certificat|PKIX|SSL|x509/i);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * What plays dotnet where there is none: mono's compiler and runtime, which know the same HttpClient. The program is the
 * shown one as it is; that the .NET SDK's own commands work is not shown by it.
 */
function monoAsDotnet() {
  const folder = mkdtempSync(path.join(tmpdir(), 'ownhouse-dotnet-'));
  mkdirSync(path.join(folder, 'bin'));
  const file = path.join(folder, 'bin/dotnet');
  writeFileSync(
    file,
    `#!/bin/bash\nset -e\ncase "$*" in\n'new console --output ownhouse-csharp') mkdir -p ownhouse-csharp; : >ownhouse-csharp/ownhouse-csharp.csproj ;;\n` +
      `run) [ -f ownhouse-csharp.csproj ]; mcs -nologo -out:run.exe -r:System.Net.Http.dll Program.cs; exec mono run.exe ;;\n*) echo "dotnet $*: not known here" >&2; exit 2 ;;\nesac\n`,
  );
  chmodSync(file, 0o755);
  return { folder, env: { PATH: `${path.join(folder, 'bin')}:${process.env.PATH}`, HOME: folder } };
}

test('curl', { timeout: 400000 }, async () => answers('curl'));

test('Python', { timeout: 400000, skip: !peers['clickhouse-connect'] && 'skipped: clickhouse-connect not available' }, async () =>
  answers('Python', { PIP_NO_INDEX: '1', PIP_FIND_LINKS: peers['clickhouse-connect'] }));

test('Node.js', { timeout: 400000, skip: !peers['clickhouse-js'] && 'skipped: clickhouse-js not available' }, async () =>
  answers('Node.js', { npm_config_cache: peers['clickhouse-js'], npm_config_offline: 'true' }));

test('Go', { timeout: 400000, skip: !there('go') && 'skipped: go not available' }, async () => answers('Go', { GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod' }));

const noJava = (!peers['clickhouse-jdbc'] && 'skipped: clickhouse-jdbc not available') || (!there('mvn') && 'skipped: mvn not available') || (!there('javac') && 'skipped: javac not available');
test('Java (JDBC)', { timeout: 600000, skip: noJava }, async () => {
  const env = { MAVEN_OPTS: `-Duser.home=${peers['clickhouse-jdbc']}` };
  await answers('Java (JDBC)', env);
  await refuses('Java (JDBC)', env);
});

const noSharp = !(there('dotnet') || (there('mcs') && there('mono'))) && 'skipped: neither dotnet nor mono-mcs available';
test('C#', { timeout: 600000, skip: noSharp }, async () => {
  const mono = there('dotnet') ? null : monoAsDotnet();
  try {
    await answers('C#', mono?.env);
    await refuses('C#', mono?.env);
  } finally {
    if (mono) rmSync(mono.folder, { recursive: true, force: true });
  }
});

test('a client that the engine does not answer gets no line but the reason', { timeout: 100000 }, async () => {
  const dialog = ada.page.getByRole('dialog');
  await dialog.getByRole('tab', { name: 'clickhouse client', exact: true }).click();
  const panel = dialog.getByRole('tabpanel');
  await panel.getByText('This service runs on the embedded engine').waitFor();
  assert.equal(await panel.getByRole('button', { name: 'Copy' }).count(), 0);
});

test('nothing went wrong on the way', () => assert.deepEqual(ada.problems, []));
