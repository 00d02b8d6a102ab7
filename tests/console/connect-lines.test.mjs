// The lines of the Connect dialog, copied as a person copies them and run as they are in an empty folder. A client whose
// program or package is not on this machine is skipped by its name.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
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

/** Runs the lines until they answer with a version of ClickHouse: the new password is on its way to the data plane. */
async function answers(client, env = {}) {
  const text = await lines(client);
  const folder = mkdtempSync(path.join(tmpdir(), 'ownhouse-paste-'));
  try {
    const deadline = Date.now() + 180000;
    for (;;) {
      const done = spawnSync('bash', ['-c', text], { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env }, timeout: 170000, stdio: ['ignore', 'pipe', 'pipe'] });
      if (done.status === 0 && /\b\d{2}\.\d+\.\d+/.test(done.stdout)) return;
      assert.ok(Date.now() < deadline, `${client}: ${done.status} ${done.stdout} ${done.stderr}\n${readdirSync(folder)}`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('curl', { timeout: 400000 }, async () => answers('curl'));

test('Python', { timeout: 400000, skip: !peers['clickhouse-connect'] && 'skipped: clickhouse-connect not available' }, async () =>
  answers('Python', { PIP_NO_INDEX: '1', PIP_FIND_LINKS: peers['clickhouse-connect'] }));

test('Node.js', { timeout: 400000, skip: !peers['clickhouse-js'] && 'skipped: clickhouse-js not available' }, async () =>
  answers('Node.js', { npm_config_cache: peers['clickhouse-js'], npm_config_offline: 'true' }));

test('Go', { timeout: 400000, skip: !there('go') && 'skipped: go not available' }, async () => answers('Go', { GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod' }));

test('clickhouse client', { timeout: 400000, skip: !there('clickhouse') && 'skipped: clickhouse not available' }, async () => answers('clickhouse client'));

test('nothing went wrong on the way', () => assert.deepEqual(ada.problems, []));
