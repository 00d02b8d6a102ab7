// Every list in the three states that a system in order hardly shows: empty, refused, and not there yet. What the API says
// is answered here in its place; everything else is real. And what a list keeps when one goes into a row and comes back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Person } from './browser.mjs';

const { OWNHOUSE_EMAIL: email, OWNHOUSE_PASSWORD: password, OWNHOUSE_SERVICE: service, OWNHOUSE_INFRASTRUCTURE: infrastructure } = process.env;
const REQUEST_ID = '0b5e0000-0000-4000-8000-0000000000aa';

// Where a list is, and what it asks for: ends of paths of the API.
const lists = {
  home: ['/', ['services', 'infrastructures']],
  services: ['/services', ['services']],
  infrastructures: ['/infrastructures', ['infrastructures', 'accounts']],
  'infrastructure-plans': [`/infrastructures/${infrastructure}`, ['plans']],
  requests: ['/requests', ['requests', 'plans']],
  access: ['/access', ['accessGrants']],
  ledger: ['/ledger', ['infrastructures']],
  members: ['/members', ['members', 'invitations']],
  roles: ['/roles', ['roles']],
  keys: ['/keys', ['keys']],
  activities: ['/activities', ['activities']],
  usage: ['/usage', ['usageCost']],
  'service-backups': [`/services/${service}?tab=backups`, ['backups']],
  'service-history': [`/services/${service}?tab=history`, ['activities']],
  profile: ['/profile', ['sessions']],
};

let browser;
let ada;
before(async () => {
  browser = await launch();
  // Chromium writes refused requests to the console itself; here they are brought about.
  ada = await Person.at(browser, { allowed: [/status of 40[04]/] });
  await ada.signIn(email, password);
});
after(async () => browser?.close());

/** From now on these lists are answered by `answer`; gives a function that ends it. */
async function instead(ends, answer) {
  const match = (url) => url.pathname.startsWith('/v1/') && ends.includes(url.pathname.split('/').pop());
  const handler = (route) => (route.request().method() === 'GET' ? answer(route) : route.fallback());
  await ada.page.route(match, handler);
  return () => ada.page.unroute(match, handler);
}

/** Pictures of the state in both languages and themes; gives what is wrong with them. */
async function look(name, to, ready) {
  const { page } = ada;
  const complaints = [];
  for (const language of ['en', 'zh']) {
    await ada.wear(language, 'light');
    await ada.go(to);
    await ready();
    complaints.push(...(await ada.pictures(name, language, [1280, 360])));
  }
  await ada.wear('en', 'light');
  return complaints;
}

for (const [name, [to, ends]] of Object.entries(lists)) {
  test(`${name}: empty`, { timeout: 240000 }, async () => {
    const over = await instead(ends, (route) => route.fulfill({ json: { status: 200, requestId: REQUEST_ID, result: ends[0] === 'usageCost' ? { grandTotalCHC: 0, costs: [] } : [] } }));
    const empty = ada.page.locator('main .oh-empty').first();
    const complaints = await look(`${name}-empty`, to, async () => {
      await empty.waitFor();
      await ada.settled();
    });
    for (const one of await ada.page.locator('main .oh-empty').all())
      if ((await one.locator('p, a, button').count()) === 0) complaints.push(`does not say what to do: ${await one.innerText()}`);
    assert.deepEqual(complaints, []);
    await over();
  });

  test(`${name}: refused`, { timeout: 240000 }, async () => {
    const over = await instead(ends, (route) => route.fulfill({ status: 400, json: { status: 400, requestId: REQUEST_ID, error: 'the list cannot be read now' } }));
    const refusal = ada.page.locator('main .is-danger.oh-notice').first();
    const complaints = await look(`${name}-refused`, to, async () => {
      await refusal.getByText(REQUEST_ID).waitFor();
      await ada.settled();
    });
    assert.deepEqual(complaints, []);
    await over();
    await ada.go(to);
    await ada.settled();
    assert.equal(await refusal.count(), 0, 'and is right again afterwards');
  });

  test(`${name}: not there yet`, { timeout: 240000 }, async () => {
    const { page } = ada;
    const held = [];
    const over = await instead(ends, (route) => void held.push(route));
    const complaints = await look(`${name}-slow`, to, () => page.locator('main .oh-skeleton').first().waitFor());
    assert.deepEqual(complaints, []);
    // Where the title and what is above the list are stays as it is when the list comes.
    await ada.go(to);
    await page.locator('main .oh-skeleton').first().waitFor();
    const place = () => page.evaluate(() => [document.querySelector('h1'), document.querySelector('main .oh-skeleton, main .oh-list, main .oh-card')].map((e) => Math.round(e.getBoundingClientRect().top)));
    const before_ = await place();
    await over();
    for (const route of held.splice(0)) await route.continue().catch(() => undefined);
    await ada.settled();
    const after_ = await place();
    assert.ok(Math.abs(before_[0] - after_[0]) <= 8, `the title jumps from ${before_[0]} to ${after_[0]} px`);
  });
}

test('a list is found as it was left, and begins anew when it is come to anew', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go('/services');
  const box = page.getByRole('searchbox');
  await box.fill('demo');
  await page.getByRole('columnheader', { name: 'State' }).getByRole('button').click();
  await page.getByText(/^1 of/).waitFor();
  await page.getByRole('link', { name: 'demo', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: 'demo' }).waitFor();
  await page.goBack();
  await page.getByRole('heading', { level: 1, name: 'Services' }).waitFor();
  assert.equal(await box.inputValue(), 'demo');
  assert.equal(await page.getByRole('columnheader', { name: 'State' }).getAttribute('aria-sort'), 'ascending');
  await page.getByRole('link', { name: 'Roles', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: 'Roles' }).waitFor();
  assert.equal(await box.inputValue(), '');
  await page.getByRole('link', { name: 'Services', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: 'Services' }).waitFor();
  assert.equal(await box.inputValue(), '');
});

test('where there is no room for heads, a list is sorted by a choice', { timeout: 240000 }, async () => {
  const { page } = ada;
  await page.setViewportSize({ width: 360, height: 740 });
  await ada.go('/roles');
  await page.getByRole('combobox', { name: 'Order of Roles' }).selectOption({ label: 'Name: descending' });
  const first = () => page.getByRole('table').getByRole('link').first().innerText();
  assert.equal(await first(), 'Service reader');
  await page.getByRole('combobox', { name: 'Order of Roles' }).selectOption({ label: 'Name: ascending' });
  assert.equal(await first(), 'Admin');
});

test('nothing went wrong on the way', () => assert.deepEqual(ada.problems, []));
