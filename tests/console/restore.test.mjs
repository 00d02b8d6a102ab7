// A backup is asked for and restored to a new service by clicking; the copied curl line then queries what was restored.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch, Person } from './browser.mjs';

const env = process.env;
const PATIENCE = { timeout: 180000 };
let browser;
let ada;
before(async () => {
  browser = await launch();
  // A service without a bucket of its own has none to show, which is a 404.
  ada = await Person.at(browser, { allowed: [/status of 404 .*\/backupBucket$/] });
  await ada.signIn(env.OWNHOUSE_EMAIL, env.OWNHOUSE_PASSWORD);
});
after(async () => browser?.close());

const rows = () => ada.page.getByRole('button', { name: 'Restore…' });

test('a backup is asked for, and can be restored once it is done', { timeout: 400000 }, async () => {
  const { page } = ada;
  await ada.go(`/services/${env.OWNHOUSE_SERVICE}?tab=backups`);
  const now = page.getByRole('button', { name: 'Back up now' });
  await now.waitFor();
  await ada.settled();
  const before = await rows().count();
  await now.click();
  await page.waitForFunction((n) => [...document.querySelectorAll('button')].filter((b) => b.textContent.trim() === 'Restore…').length > n, before, PATIENCE);
});

test('a name that is missing is asked for, and nothing is sent', { timeout: 240000 }, async () => {
  const { page } = ada;
  await rows().first().click();
  const dialog = page.getByRole('dialog');
  const name = dialog.getByRole('textbox', { name: 'Name of the new service' });
  assert.match(await name.inputValue(), /^demo \d{4}-\d{2}-\d{2} \d{2}\.\d{2}$/);
  await name.fill(' ');
  await dialog.getByRole('button', { name: 'Restore', exact: true }).click();
  await dialog.getByText('Give the service a name').waitFor();
  await dialog.getByText('nothing is charged: it runs on this machine').waitFor();
  await dialog.getByText('up to 8 GB of memory').waitFor();
  assert.deepEqual(await ada.axe(), []);
});

test('the new service has what the backup has', { timeout: 600000 }, async () => {
  const { page } = ada;
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: 'Name of the new service' }).fill('restored here');
  await dialog.getByRole('button', { name: 'Restore', exact: true }).click();
  await dialog.getByText('restored here is being made from the backup').or(dialog.getByText('restored here is there')).first().waitFor(PATIENCE);
  assert.deepEqual(await ada.axe(), []);
  await ada.shot('service-restoring.en.light.1280');
  await dialog.getByText('restored here is there, with all that the backup has').waitFor(PATIENCE);
  await ada.shot('service-restored.en.light.1280');
  await dialog.getByRole('button', { name: 'Go to restored here' }).click();
  await page.getByRole('heading', { name: 'Connect to restored here' }).waitFor();
  await page.getByRole('dialog').getByRole('tabpanel').getByRole('button', { name: 'Copy', exact: true }).click();
  const line = await page.evaluate(() => navigator.clipboard.readText());
  const asked = line.replace('SELECT version()', 'SELECT count(), sum(cityHash64(*)) FROM parts_of_ada');
  assert.notEqual(asked, line);
  const folder = mkdtempSync(path.join(tmpdir(), 'ownhouse-restore-'));
  try {
    const deadline = Date.now() + 150000;
    for (;;) {
      const done = spawnSync('bash', ['-c', asked], { cwd: folder, encoding: 'utf8', timeout: 60000, stdio: ['ignore', 'pipe', 'pipe'] });
      if (done.stdout.trim() === env.OWNHOUSE_FIGURES) break;
      assert.ok(Date.now() < deadline, `${done.stdout} ${done.stderr} is not ${env.OWNHOUSE_FIGURES}`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('nothing went wrong on the way', () => assert.deepEqual(ada.problems, []));
