// What goes wrong in real life: two people at one service, a session that ends in a form, a network that breaks off, a
// control plane that restarts. Nothing typed is lost, and no reload is needed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { launch, Person } from './browser.mjs';

const { OWNHOUSE_EMAIL: email, OWNHOUSE_PASSWORD: password, OWNHOUSE_SERVICE: service, OWNHOUSE_PLAN: plan, OWNHOUSE_HOME: home } = process.env;
// Chromium writes refused and broken requests to the console itself; here they are brought about.
const allowed = [/Failed to load resource/];

let browser;
let ada;
let bob;
before(async () => {
  browser = await launch();
  ada = await Person.at(browser, { allowed });
  bob = await Person.at(browser, { allowed });
  await ada.signIn(email, password);
  await bob.signIn(email, password);
});
after(async () => browser?.close());

const nameField = (person) => person.page.getByRole('textbox', { name: 'Name' });

test('a change by one is seen by the other, whose own draft stays', { timeout: 240000 }, async () => {
  for (const person of [ada, bob]) {
    await person.go(`/services/${service}?tab=settings`);
    await nameField(person).waitFor();
  }
  await nameField(bob).fill('name by Bob');
  await nameField(ada).fill('name by Ada');
  await ada.page.getByRole('button', { name: 'Save' }).click();
  await bob.page.getByRole('heading', { level: 1, name: 'name by Ada' }).waitFor();
  await bob.page.getByText('Somebody changed this meanwhile').waitFor();
  assert.equal(await nameField(bob).inputValue(), 'name by Bob');
  await bob.page.getByRole('button', { name: 'Save' }).click();
  await ada.page.getByRole('heading', { level: 1, name: 'name by Bob' }).waitFor();
  assert.equal(await nameField(ada).inputValue(), 'name by Bob');
});

test('a session that ends in the middle of a form loses nothing', { timeout: 240000 }, async () => {
  await nameField(ada).fill('typed before the end');
  await bob.go('/profile');
  await bob.page.getByRole('button', { name: 'End all others' }).click();
  await bob.page.getByRole('button', { name: 'End all others' }).waitFor({ state: 'detached' });
  await ada.page.getByRole('button', { name: 'Save' }).click().catch(() => undefined); // an event may have asked first
  const dialog = ada.page.getByRole('dialog');
  await dialog.getByText('Your session has ended').waitFor();
  await dialog.getByLabel('Password').fill(password);
  await dialog.getByRole('button', { name: 'Sign in' }).click();
  await dialog.waitFor({ state: 'detached' });
  // Saved already, if the press came first; else it is still in the field.
  await ada.page.waitForFunction(() => document.querySelector('[role=tabpanel] input').value === 'typed before the end');
  const save = ada.page.getByRole('button', { name: 'Save' });
  if (await save.isEnabled()) await save.click();
  await ada.page.getByRole('heading', { level: 1, name: 'typed before the end' }).waitFor();
});

test('a session that ends in the middle of a long form loses nothing of it', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go('/services/new');
  await page.getByRole('textbox', { name: 'Name' }).fill('typed at length');
  await page.getByLabel('Memory of each').selectOption({ index: 1 });
  await page.getByLabel('Replicas', { exact: true }).selectOption('2');
  await page.getByLabel('Sleep when nobody queries it').uncheck();
  await page.getByText('Only networks that I name', { exact: true }).click();
  await page.getByLabel('Address or network').fill('203.0.113.7');
  await page.getByLabel('Description').fill('the office');
  await page.getByRole('button', { name: 'Add', exact: true }).first().click();
  await page.locator('summary').getByText('More settings', { exact: true }).click();
  await page.getByLabel('Release channel').selectOption('slow');
  await page.getByLabel('Label').fill('team=billing');
  await page.getByRole('button', { name: 'Add', exact: true }).last().click();
  await page.getByLabel('Address or network').fill('198.51.100.0/24'); // and one that is only half typed
  const typed = () =>
    page.evaluate(() => [...document.querySelectorAll('form.is-page input, form.is-page select')].map((e) => (/checkbox|radio/.test(e.type) ? e.checked : e.value)));
  const before_ = await typed();
  await bob.go('/profile');
  await bob.page.getByRole('button', { name: 'End all others' }).click();
  await bob.page.getByRole('button', { name: 'End all others' }).waitFor({ state: 'detached' });
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Your session has ended').waitFor(); // unasked: a change that was told of, or the next look
  await dialog.getByLabel('Password').fill(password);
  await dialog.getByRole('button', { name: 'Sign in' }).click();
  await dialog.waitFor({ state: 'detached' });
  assert.deepEqual(await typed(), before_);
  await page.getByText('the office').waitFor();
  const [asked] = await Promise.all([
    page.waitForRequest((r) => r.method() === 'POST' && r.url().endsWith('/services')),
    page.getByRole('button', { name: 'Create a service' }).click(),
  ]);
  const { name, numReplicas, idleScaling, releaseChannel, ipAccessList, tags } = asked.postDataJSON();
  assert.deepEqual({ name, numReplicas, idleScaling, releaseChannel, ipAccessList, tags }, {
    name: 'typed at length', numReplicas: 2, idleScaling: false, releaseChannel: 'slow',
    ipAccessList: [{ source: '203.0.113.7', description: 'the office' }], tags: [{ key: 'team', value: 'billing' }],
  });
  await page.getByRole('heading', { name: 'Connect to typed at length' }).waitFor();
});

test('no stream of events can be had: it is said, and changes come by asking', { timeout: 240000 }, async () => {
  const { page, context } = ada;
  // There are two notes, one of them hidden at each width.
  const note = page.locator('.oh-live-note:visible');
  const heard = [];
  page.on('response', (r) => r.url().endsWith('/events') && heard.push(r.url()));
  let refused = 0;
  await context.route('**/v1/organizations/*/events', (route) => {
    refused++;
    return route.abort('connectionrefused');
  });
  try {
    await ada.go(`/services/${service}?tab=settings`);
    await nameField(ada).waitFor();
    heard.length = 0; // of the page before
    await page.evaluate(() => (window.sameDocument = true));
    await note.getByText('Not live: asking every few seconds').waitFor();
    assert.ok(refused > 0);
    await bob.go(`/services/${service}?tab=settings`);
    await nameField(bob).fill('seen by asking');
    await bob.page.getByRole('button', { name: 'Save' }).click();
    await bob.page.getByRole('heading', { level: 1, name: 'seen by asking' }).waitFor();
    await page.getByRole('heading', { level: 1, name: 'seen by asking' }).waitFor();
    assert.deepEqual(heard, [], 'it came by asking and not by an event');
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'without a reload');
    await note.getByText('Not live: asking every few seconds').waitFor();
  } finally {
    await context.unrouteAll({ behavior: 'ignoreErrors' });
  }
  await page.locator('.oh-live-note').first().waitFor({ state: 'detached' });
  assert.ok(heard.length > 0, 'live again by a stream');
  assert.equal(await page.evaluate(() => window.sameDocument), true);
});

test('a network that breaks off: said, kept, and done once', { timeout: 240000 }, async () => {
  const { page, context } = ada;
  await ada.go('/services/new');
  await page.getByRole('textbox', { name: 'Name' }).fill('over a bad line');
  await context.setOffline(true);
  await page.getByRole('button', { name: 'Create a service' }).click();
  await page.getByText('The control plane cannot be reached').waitFor();
  assert.equal(await page.getByRole('textbox', { name: 'Name' }).inputValue(), 'over a bad line');
  await context.setOffline(false);
  await page.getByRole('button', { name: 'Create a service' }).click();
  await page.getByRole('heading', { name: 'Connect to over a bad line' }).waitFor();
  await ada.go('/services');
  await page.getByRole('link', { name: 'over a bad line' }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'over a bad line' }).count(), 1);
});

test('a link that counts once, whose answer is lost on the way: the same press again comes in', { timeout: 240000 }, async () => {
  const cleo = await Person.at(browser, { allowed });
  const { page, context } = cleo;
  await cleo.go(process.env.OWNHOUSE_INVITATION);
  await page.getByLabel('Your name').fill('Cleo');
  await page.getByLabel('New password').fill(password);
  await page.getByLabel('The same again').fill(password);
  const devtools = await context.newCDPSession(page);
  let lost = 0;
  devtools.on('Fetch.requestPaused', ({ requestId }) =>
    devtools.send(...(lost++ ? ['Fetch.continueRequest', { requestId }] : ['Fetch.failRequest', { requestId, errorReason: 'ConnectionReset' }])));
  await devtools.send('Fetch.enable', { patterns: [{ urlPattern: '*/v1/invitation/accept', requestStage: 'Response' }] });
  await page.getByRole('button', { name: 'Join' }).click();
  await page.getByText('The control plane cannot be reached').waitFor();
  await page.getByRole('button', { name: 'Join' }).click();
  await page.locator('.oh-frame').waitFor();
  assert.equal(lost, 2);
  assert.deepEqual(cleo.problems, []);
  await cleo.close();
});

test('a slow and lossy line: every call late, every fifth broken off, and the page comes all the same', { timeout: 240000 }, async () => {
  const { page, context } = ada;
  let calls = 0;
  let lost = 0;
  await context.route('**/v1/**', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    // The plan's own call twice for certain.
    const lose = calls++ % 5 === 2 || (route.request().url().endsWith(`/plans/${plan}`) && lost++ < 2);
    await (lose ? route.abort('connectionreset') : route.continue()).catch(() => undefined);
  });
  try {
    await ada.go('/services');
    await page.getByRole('link', { name: 'over a bad line' }).waitFor();
    await page.getByRole('link', { name: 'over a bad line' }).click();
    await page.getByRole('heading', { level: 1, name: 'over a bad line' }).waitFor();
    await ada.go(`/plans/${plan}`);
    const panel = page.getByRole('tabpanel');
    await panel.getByText('local_network', { exact: true }).waitFor();
    await page.getByRole('tab', { name: 'Picture', exact: true }).click();
    await panel.locator('svg.oh-graph').waitFor();
    await page.getByRole('tab', { name: 'Log', exact: true }).click();
    await panel.getByText('local_network.main', { exact: true }).first().waitFor();
    await page.waitForFunction(() => !document.querySelector('main .oh-skeleton, main .is-danger.oh-notice'));
    assert.ok(lost > 2, 'the plan came over that line too, when it was asked for again');
  } finally {
    await context.unrouteAll({ behavior: 'ignoreErrors' });
  }
});

test('a control plane that restarts: live again without a reload', { timeout: 240000 }, async () => {
  const { page } = bob;
  await bob.go(`/services/${service}?tab=settings`);
  await nameField(bob).waitFor();
  await page.evaluate(() => (window.stillHere = true));
  const lock = () => readFileSync(`${home}/control/run/lock`, 'utf8').trim();
  const before_ = lock();
  process.kill(Number(before_), 'SIGTERM');
  // Whoever started these steps brings it up again (test_console.py).
  const deadline = Date.now() + 180000;
  while (lock() === before_ || !lock()) {
    assert.ok(Date.now() < deadline, 'the control plane did not come back');
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  for (let open = false; !open; ) {
    assert.ok(Date.now() < deadline, 'the control plane does not answer');
    open = await ada.go(`/services/${service}?tab=settings`).then(() => true, () => new Promise((resolve) => setTimeout(() => resolve(false), 500)));
  }
  await page.locator('.oh-live-note').first().waitFor({ state: 'detached', timeout: 180000 });
  await nameField(ada).fill('after the restart');
  await ada.page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { level: 1, name: 'after the restart' }).waitFor();
  assert.equal(await page.evaluate(() => window.stillHere), true);
});

test('nothing else went wrong', () => assert.deepEqual([...ada.problems, ...bob.problems], []));
