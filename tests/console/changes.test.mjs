// What is changed by clicking and comes to be: ClickHouse settings of a service and of hours of its week, and drift that is decided of. And what was
// refused stays on the screen while it is asked for again.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Person } from './browser.mjs';

const { OWNHOUSE_EMAIL: email, OWNHOUSE_PASSWORD: password, OWNHOUSE_SERVICE: service, OWNHOUSE_SPARE: spare, OWNHOUSE_INFRASTRUCTURE: infrastructure } = process.env;
const PATIENCE = { timeout: 120000 };
const MISSING = '0b5e0000-0000-4000-8000-00000000ffff';

let browser;
let ada;
before(async () => {
  browser = await launch();
  // Chromium writes refused requests to the console itself; here two are brought about.
  ada = await Person.at(browser, { allowed: [/status of 40[04]/] });
  await ada.signIn(email, password);
});
after(async () => browser?.close());

const row = (name) => ada.page.getByRole('row').filter({ has: ada.page.getByText(name, { exact: true }) });

async function set(name, value) {
  const { page } = ada;
  await page.getByRole('button', { name: `Set ${name}`, exact: true }).click();
  await page.getByRole('dialog').getByLabel('Value').fill(value);
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
}

test('ClickHouse settings are saved, refused and reset', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go(`/services/${service}?tab=clickhouse`);
  await set('max_threads', 'many');
  await page.getByRole('dialog').getByRole('alert').getByText('max_threads').waitFor(PATIENCE);
  assert.equal(await page.getByRole('dialog').getByLabel('Value').inputValue(), 'many', 'what was typed is still there');
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await set('max_threads', '3');
  await page.getByRole('dialog').waitFor({ state: 'detached', ...PATIENCE });
  await row('max_threads').getByText('3', { exact: true }).waitFor(PATIENCE);
  await set('max_execution_time', '77');
  await page.getByRole('dialog').waitFor({ state: 'detached', ...PATIENCE });
  await row('max_execution_time').getByText('77', { exact: true }).waitFor(PATIENCE);
  assert.deepEqual(await ada.pictures('service-clickhouse-saved', 'en'), []);
  await row('max_execution_time').getByRole('button', { name: 'Back to the default of max_execution_time' }).click();
  await row('max_execution_time').getByText('77', { exact: true }).waitFor({ state: 'detached', ...PATIENCE });
  await ada.go(`/services/${service}?tab=clickhouse`);
  await row('max_threads').getByText('3', { exact: true }).waitFor(PATIENCE);
  assert.equal(await page.locator('main button').filter({ hasText: /^Save$/ }).count(), 0);
});

test('a stretch of the week has settings of its own, which are shown, kept and taken away', { timeout: 480000 }, async () => {
  const { page } = ada;
  const dialog = page.getByRole('dialog');
  const save = () => dialog.getByRole('button', { name: 'Save' }).click();
  const edit = () => page.getByRole('button', { name: 'Edit', exact: true }).click();
  const stored = () => page.evaluate(async (id) => {
    const { result } = await (await fetch('/v1/organizations')).json();
    return (await (await fetch(`/v1/organizations/${result[0].id}/services/${id}/scalingSchedule`)).json()).result.entries;
  }, spare);
  await ada.go(`/services/${spare}?tab=scaling`);
  await page.getByRole('button', { name: 'Add a stretch' }).click();
  await dialog.getByLabel('Name').fill('loads');
  // Not today, so that no engine is restarted for it.
  const later = (new Date().getUTCDay() + 3) % 7;
  const names = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
  for (const [day, name] of names.entries()) await dialog.getByLabel(name, { exact: true }).setChecked(day === later);
  await dialog.getByLabel('Replicas', { exact: true }).selectOption('2');
  await dialog.getByRole('button', { name: 'Add a setting' }).click();
  await dialog.getByLabel('Setting', { exact: true }).selectOption('max_execution_time');
  await save();
  await dialog.getByText('Give the setting a value, or remove it.').waitFor();
  await dialog.getByLabel('Value').fill('long');
  await save();
  await dialog.getByRole('alert').getByText('max_execution_time').waitFor(PATIENCE);
  assert.equal(await dialog.getByLabel('Value').inputValue(), 'long', 'what was typed is still there');
  await dialog.getByLabel('Value').fill('77');
  assert.deepEqual(await ada.pictures('service-stretch-settings', 'en'), []);
  await save();
  await dialog.waitFor({ state: 'detached', ...PATIENCE });
  await page.getByText('max_execution_time = 77', { exact: true }).waitFor(PATIENCE);
  // Whoever changes something else leaves it as it is, and the number of replicas too.
  await edit();
  assert.equal(await dialog.getByLabel('Replicas', { exact: true }).inputValue(), '2');
  await dialog.getByLabel('Name').fill('long loads');
  await save();
  await dialog.waitFor({ state: 'detached', ...PATIENCE });
  await page.getByText('long loads', { exact: true }).first().waitFor(PATIENCE);
  const [kept] = await stored();
  assert.deepEqual([kept.name, kept.clickhouseSettings, kept.minReplicas, kept.maxReplicas], ['long loads', { max_execution_time: '77' }, 2, 2]);
  await ada.wear('zh', 'light');
  await ada.go(`/services/${spare}?tab=scaling`);
  await page.getByText('max_execution_time = 77', { exact: true }).waitFor(PATIENCE);
  assert.deepEqual(await ada.pictures('service-schedule-settings', 'zh'), []);
  await page.getByRole('button', { name: '编辑', exact: true }).click();
  await dialog.getByText('添加设置').waitFor();
  assert.deepEqual(await ada.pictures('service-stretch-settings', 'zh'), []);
  await ada.wear('en', 'light');
  await ada.go(`/services/${spare}?tab=scaling`);
  await page.getByText('max_execution_time = 77', { exact: true }).waitFor(PATIENCE);
  assert.deepEqual(await ada.pictures('service-schedule-settings', 'en'), []);
  await edit();
  await dialog.getByRole('button', { name: 'Remove max_execution_time' }).click();
  await save();
  await dialog.waitFor({ state: 'detached', ...PATIENCE });
  await page.getByText('max_execution_time = 77', { exact: true }).waitFor({ state: 'detached', ...PATIENCE });
  assert.equal((await stored())[0].clickhouseSettings, undefined);
  await page.getByRole('button', { name: 'Remove long loads' }).click();
  await page.getByText('No schedule', { exact: true }).waitFor(PATIENCE);
});

test('drift is looked for, left for a while, taken up again and put back', { timeout: 480000 }, async () => {
  const { page } = ada;
  await ada.go(`/infrastructures/${infrastructure}`);
  const list = page.getByRole('list', { name: 'Drift' });
  const state = (text) => list.locator('summary').getByText(text, { exact: true });
  const confirm = (name) => page.getByRole('dialog').getByRole('button', { name, exact: true }).click();
  await page.getByRole('button', { name: 'Look now' }).waitFor(PATIENCE);
  assert.equal(await page.getByRole('button', { name: /drift|Look now/i }).count(), 1, 'one way to look, not two');
  await page.getByRole('button', { name: 'Look now' }).click();
  await state('waits for a decision').waitFor(PATIENCE);
  assert.deepEqual(await ada.pictures('infrastructure-drift', 'en'), []);
  await ada.wear('zh', 'dark');
  await ada.go(`/infrastructures/${infrastructure}`);
  await page.getByRole('list', { name: '漂移' }).getByText('待决定', { exact: true }).waitFor(PATIENCE);
  assert.deepEqual(await ada.pictures('infrastructure-drift', 'zh'), []);
  await ada.wear('en', 'light');
  await ada.go(`/infrastructures/${infrastructure}`);
  await list.getByRole('button', { name: 'Ignore', exact: true }).click();
  await page.getByRole('dialog').getByRole('combobox').selectOption('1');
  await confirm('Ignore');
  await state('ignored').waitFor(PATIENCE);
  await list.locator('summary').click();
  await list.getByRole('button', { name: 'Decide anew' }).click();
  await state('waits for a decision').waitFor(PATIENCE);
  await list.getByRole('button', { name: 'Put back', exact: true }).click();
  await confirm('Put back');
  await page.getByText('Everything is as it was made.').waitFor(PATIENCE);
});

test('what was refused stays on the screen until there is another answer', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go(`/services/${MISSING}`);
  await page.getByRole('alert').getByText('This is not there').waitFor(PATIENCE);
  let asked;
  const again = new Promise((resolve) => (asked = resolve));
  let go;
  const held = new Promise((resolve) => (go = resolve));
  await page.route(`**/services/${MISSING}`, async (route) => {
    asked();
    await held;
    await route.continue();
  });
  const answered = page.waitForResponse((r) => r.url().endsWith(MISSING));
  await page.evaluate(() => window.dispatchEvent(new Event('visibilitychange')));
  await again;
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  assert.equal(await page.locator('.oh-skeleton').count(), 0);
  assert.equal(await page.getByRole('alert').getByText('This is not there').count(), 1);
  go();
  await answered;
  await page.unroute(`**/services/${MISSING}`);
});

test('nothing went wrong on the way', () => assert.deepEqual(ada.problems, []));
