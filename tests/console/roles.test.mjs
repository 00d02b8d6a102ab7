// Each role at the console: it sees what it may, is asked for nothing that the server would refuse, and where it goes by
// hand to what it may not see, it is told why.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Person } from './browser.mjs';

const people = JSON.parse(process.env.OWNHOUSE_PEOPLE);
const { OWNHOUSE_SERVICE: service, OWNHOUSE_INFRASTRUCTURE: infrastructure, OWNHOUSE_PLAN: plan, OWNHOUSE_REQUEST: request } = process.env;
// OWNHOUSE_PLACES: these alone, and not the menu; each with what is said there to whom nothing is refused.
const only = process.env.OWNHOUSE_PLACES && JSON.parse(process.env.OWNHOUSE_PLACES);
const places = (only && Object.keys(only)) ?? ['/', '/services', '/services/new', '/infrastructures', '/connect', '/requests', '/access', '/ledger', '/members', '/roles', '/roles/new', '/keys', '/activities', '/usage', '/settings', '/profile',
  `/services/${service}`, `/infrastructures/${infrastructure}`, `/plans/${plan}`, `/requests/${request}`,
  `/requests/${process.env.OWNHOUSE_REQUEST_DONE}`, `/access/${request}`];
// What opens a dialog, where a role is offered it.
const openers = ['Connect', 'Restore…', 'Add a stretch', 'Add a query endpoint', 'Delete', 'Remove', 'Ask for access', 'Invite somebody', 'Create an API key'];

const offered = new Set();
const ways = {};
let browser;
before(async () => {
  browser = await launch();
});
after(async () => browser?.close());

/** By the link; again, or by the password set before, where the machine's network changed and took an answer away. */
async function join(person, role, link, email) {
  const { page } = person;
  if (!link) return person.signIn(email, 'correct horse battery');
  for (let tries = 0; ; tries++) {
    person.networkChanged = false;
    try {
      await person.go(link);
      await page.getByLabel('Your name').fill(`A ${role}`);
      await page.getByLabel('New password').fill('correct horse battery');
      await page.getByLabel('The same again').fill('correct horse battery');
      await page.getByRole('button', { name: 'Join' }).click();
      await page.locator('.oh-frame').waitFor();
      return;
    } catch (problem) {
      if (!person.networkChanged || tries > 3) throw problem;
      await page.goto('about:blank'); // the link differs only behind its #, so it would not be loaded anew
      person.allowed.push(/status of 40[0-9]/);
      if (await person.signIn(email, 'correct horse battery').then(() => true, () => false)) return;
      await page.goto('about:blank');
    }
  }
}

/** What is offered is never refused: the tabs of the page that is open, and the dialogs there. */
async function offers(person, role, to, forbidden) {
  const { page } = person;
  const main = page.locator('main');
  const tabs = main.getByRole('tab');
  const opened = new Set();
  for (let i = 0; i < Math.max(1, await tabs.count()); i++) {
    forbidden.length = 0;
    if (await tabs.count()) {
      await tabs.nth(i).click();
      await person.settled();
      assert.ok((await main.getByRole('tabpanel').innerText()).trim().length > 3, `${role} sees nothing at ${to}, tab ${i}`);
      assert.deepEqual(forbidden, [], `${role} at ${to}, tab ${i}`);
    }
    for (const name of openers) {
      const button = main.getByRole('button', { name, exact: true }).first();
      if (opened.has(name) || !(await button.count()) || !(await button.isEnabled())) continue;
      opened.add(name);
      await button.click();
      const dialog = page.getByRole('dialog');
      await dialog.waitFor();
      await person.settled();
      assert.ok((await dialog.innerText()).trim().length > 20, `${role} sees nothing at ${to}, ${name}`);
      assert.deepEqual(forbidden, [], `${role} at ${to}, ${name}`);
      offered.add(name);
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'detached' });
    }
  }
}

for (const { role, link, email } of people)
  test(`role ${role}`, { timeout: 600000 }, async () => {
    const person = await Person.at(browser);
    const { page } = person;
    await join(person, role, link, email);
    await person.settled();
    if (!only) {
      const links = page.getByRole('navigation', { name: 'Main' }).getByRole('link');
      const names = await links.allTextContents();
      for (const name of names) {
        await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name }).click();
        await person.settled();
        assert.equal(await page.locator('main .is-danger.oh-notice').count(), 0, `${role} is refused at ${name}`);
      }
      assert.deepEqual(person.problems.splice(0), [], `${role} on the way that the menu leads`);
    }
    // By hand, anywhere: a page and never a blank one; what is refused says so. What is missing is a 404: a schedule, say.
    person.allowed.push(/status of 40[34]/);
    const forbidden = [];
    page.on('response', (r) => r.status() === 403 && forbidden.push(r.url()));
    const main = page.locator('main');
    for (const to of places) {
      forbidden.length = 0;
      await person.go(to);
      await person.settled();
      if (only) {
        // These warn of their own accord too, of data that are deleted; whether the server has refused, its answers say.
        if (forbidden.length) await main.locator('.is-danger.oh-notice').getByText(/roles do not allow/).first().waitFor();
        else await main.getByText(only[to]).waitFor();
        ways[to] = { ...ways[to], [forbidden.length ? 'refused' : 'shown']: true };
      }
      // At one moment: whatever changes meanwhile is asked for anew, and is a skeleton for as long.
      const { text, refused } = await page.evaluate(() => {
        const main = document.querySelector('main');
        return { text: main.innerText, refused: main.querySelectorAll('.is-danger.oh-notice').length };
      });
      assert.ok(text.trim().length > 10, `${role} sees nothing at ${to}`);
      if (refused && !only) assert.match(text, /roles do not allow|not there/, `${role} at ${to}: ${text}`);
      await offers(person, role, to, forbidden);
    }
    assert.deepEqual(person.problems, []);
    await person.close();
  });

if (!only) test('each dialog was offered to some role', () => assert.deepEqual([...offered].sort(), [...openers].sort()));
else test('each place was shown to some role and refused to another', () => {
  for (const to of places) assert.deepEqual(ways[to], { shown: true, refused: true }, to);
});
