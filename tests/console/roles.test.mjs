// Each role at the console: it sees what it may, is asked for nothing that the server would refuse, and where it goes by
// hand to what it may not see, it is told why.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Person } from './browser.mjs';

const people = JSON.parse(process.env.OWNHOUSE_PEOPLE);
const places = ['/', '/services', '/services/new', '/infrastructures', '/connect', '/requests', '/access', '/ledger', '/members', '/roles', '/keys', '/activities', '/usage', '/settings', '/profile',
  `/services/${process.env.OWNHOUSE_SERVICE}`, `/infrastructures/${process.env.OWNHOUSE_INFRASTRUCTURE}`, `/plans/${process.env.OWNHOUSE_PLAN}`,
  `/requests/${process.env.OWNHOUSE_REQUEST}`, `/access/${process.env.OWNHOUSE_REQUEST}`];

let browser;
before(async () => {
  browser = await launch();
});
after(async () => browser?.close());

/** By the link; again, or by the password set before, where the machine's network changed and took an answer away. */
async function join(person, role, link, email) {
  const { page } = person;
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

for (const { role, link, email } of people)
  test(`role ${role}`, { timeout: 600000 }, async () => {
    const person = await Person.at(browser);
    const { page } = person;
    await join(person, role, link, email);
    await person.settled();
    const links = page.getByRole('navigation', { name: 'Main' }).getByRole('link');
    const names = await links.allTextContents();
    for (const name of names) {
      await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name }).click();
      await person.settled();
      assert.equal(await page.locator('main .is-danger.oh-notice').count(), 0, `${role} is refused at ${name}`);
    }
    assert.deepEqual(person.problems.splice(0), [], `${role} on the way that the menu leads`);
    // By hand, anywhere: a page and never a blank one; what is refused says so.
    person.allowed.push(/status of 403/);
    for (const to of places) {
      await person.go(to);
      await person.settled();
      // At one moment: whatever changes meanwhile is asked for anew, and is a skeleton for as long.
      const { text, refused } = await page.evaluate(() => {
        const main = document.querySelector('main');
        return { text: main.innerText, refused: main.querySelectorAll('.is-danger.oh-notice').length };
      });
      assert.ok(text.trim().length > 10, `${role} sees nothing at ${to}`);
      if (refused) assert.match(text, /roles do not allow|not there/, `${role} at ${to}: ${text}`);
    }
    assert.deepEqual(person.problems, []);
    await person.close();
  });
