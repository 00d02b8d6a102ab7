// A thousand services and a hundred infrastructures: only what can be seen is in the page, and search finds the rest.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Person } from './browser.mjs';

let browser;
let person;
before(async () => {
  browser = await launch();
  person = await Person.at(browser);
  await person.signIn(process.env.OWNHOUSE_EMAIL, process.env.OWNHOUSE_PASSWORD);
});
after(async () => browser?.close());

for (const [to, name, count] of [['/services', 'many', 1000], ['/infrastructures', 'crowd', 100]])
  test(`${count} at ${to}`, { timeout: 240000 }, async () => {
    const { page } = person;
    await person.go(to);
    await page.getByText(new RegExp(`^[\\d,]+ in all$`)).first().waitFor();
    const table = page.getByRole('table').first();
    assert.ok(Number(await table.getAttribute('aria-rowcount')) > count);
    assert.ok((await table.getByRole('row').count()) < 60, 'only the rows that can be seen');
    await page.evaluate(() => window.scrollTo(0, document.querySelector('[role=table]').getBoundingClientRect().bottom));
    const last = page.getByRole('link', { name: `${name} ${String(count - 1).padStart(4, '0')}` });
    await last.waitFor();
    // There and back: the page that is opened begins at its top, and the list is where it was left.
    const scrolled = () => page.evaluate(() => window.scrollY);
    const left = await scrolled();
    await last.click();
    await page.getByRole('heading', { level: 1, name: `${name} ${String(count - 1).padStart(4, '0')}` }).waitFor();
    await page.waitForFunction(() => window.scrollY === 0);
    await page.goBack();
    await last.waitFor();
    await page.waitForFunction((y) => Math.abs(window.scrollY - y) < 200, left);
    await page.getByRole('searchbox').first().fill(`${name} 0042`);
    await page.getByText(/^1 of/).first().waitFor();
    await page.getByRole('link', { name: `${name} 0042` }).waitFor();
    await page.getByRole('searchbox').first().fill('');
    await page.setViewportSize({ width: 360, height: 740 });
    await page.evaluate(() => window.scrollTo(0, 0));
    assert.deepEqual(await person.overflow(), []);
    await person.shot(`many${to.replace('/', '-')}.en.light.360`, { fullPage: false });
    await page.setViewportSize({ width: 1280, height: 900 });
  });

test('nothing went wrong', () => assert.deepEqual(person.problems, []));
