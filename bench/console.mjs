// What bench/console measures in the browser; prints JSON: figure → median, least, most, n, in milliseconds.
import { launch, Person } from '../tests/console/browser.mjs';

const rounds = Number(process.env.OWNHOUSE_ROUNDS);
const figures = {};
const note = (name, ms) => (figures[name] ??= []).push(ms);
const browser = await launch();

const paint = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const found = () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime;
        if (found()) resolve(found());
        else new PerformanceObserver((_, self) => found() && (self.disconnect(), resolve(found()))).observe({ type: 'paint', buffered: true });
      }),
  );

/** From the press to the paint behind it, as the browser's own Event Timing says; 8 ms is its least. */
async function delay(page, name, act) {
  await page.evaluate(() => {
    window.slowest = 0;
    window.watching?.disconnect();
    window.watching = new PerformanceObserver((list) => list.getEntries().forEach((e) => e.interactionId && (window.slowest = Math.max(window.slowest, e.duration))));
    window.watching.observe({ type: 'event', durationThreshold: 16 });
  });
  await act();
  // Entries come after the frame that they measure.
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve, 50)))));
  note(name, Math.max(8, await page.evaluate(() => window.slowest)));
}

/** From the first of the letters to the frame in which the one row that has them all is the only one. Timed in the page,
 * so that the way to the browser and back is not in it but for the letters' own. */
async function typed(page, name, text) {
  await page.evaluate((wanted) => {
    window.found = new Promise((resolve) => {
      let begun = 0;
      const box = document.querySelector('input[type=search]');
      box.addEventListener('keydown', () => (begun ||= performance.now()));
      const look = () => {
        const links = [...document.querySelectorAll('[role=table] [role=row] a')];
        if (begun && box.value === wanted && links.length && links.every((a) => a.closest('[role=row]').textContent.includes(wanted))) resolve(performance.now() - begun);
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    });
  }, text);
  await page.getByRole('searchbox').first().pressSequentially(text);
  note(name, await page.evaluate(() => window.found));
}

try {
  const first = await Person.at(browser);
  await first.go(process.env.OWNHOUSE_SET_UP);
  await first.page.getByLabel('Your name').fill('Ada Lovelace');
  await first.page.getByLabel('E-mail address').fill('ada@example.org');
  await first.page.getByLabel('New password').fill('correct horse battery');
  await first.page.getByLabel('The same again').fill('correct horse battery');
  await first.page.getByRole('button', { name: 'Begin' }).click();
  await first.page.getByRole('heading', { level: 1, name: 'My organization' }).waitFor();
  await first.close();
  for (let i = 0; i < rounds; i++) {
    const stranger = await Person.at(browser); // a browser that has nothing of ours in its cache
    await stranger.go('/sign-in');
    note('sign_in_first_contentful_paint', await paint(stranger.page));
    await stranger.close();

    const ada = await Person.at(browser);
    const { page } = ada;
    await ada.signIn('ada@example.org', 'correct horse battery');
    await ada.go('/services');
    await page.getByText(/^1,\d{3} in all$/).waitFor();
    await page.getByRole('table').first().getByRole('row').nth(5).waitFor();
    note('services_1000_first_contentful_paint', await paint(page));
    note('services_1000_rows_there', await page.evaluate(() => performance.now()));
    await delay(page, 'services_1000_press_to_sort', () => page.getByRole('button', { name: 'Name', exact: true }).click());
    await delay(page, 'services_1000_key_to_search', () => page.getByRole('searchbox').press('9'));
    await page.getByRole('searchbox').fill('many 0042');
    await page.getByRole('link', { name: 'many 0042' }).waitFor();
    await delay(page, 'press_to_open_a_service', () => page.getByRole('link', { name: 'many 0042' }).click());
    await page.getByRole('heading', { level: 1, name: 'many 0042' }).waitFor();
    await delay(page, 'press_to_change_tab', () => page.getByRole('tab', { name: 'Settings', exact: true }).click());
    // The hundred infrastructures: shown, and from a search typed to its one row, as the person sees it.
    await ada.go('/infrastructures');
    await page.getByText(/^1\d\d in all$/).waitFor();
    await page.getByRole('table').first().getByRole('row').nth(5).waitFor();
    note('infrastructures_100_first_contentful_paint', await paint(page));
    note('infrastructures_100_rows_there', await page.evaluate(() => performance.now()));
    await typed(page, 'infrastructures_100_search_to_row', 'crowd 0042');
    await ada.go('/services');
    await page.getByRole('table').first().getByRole('row').nth(5).waitFor();
    await page.getByText(/^1,\d{3} in all$/).waitFor();
    await typed(page, 'services_1000_search_to_row', 'many 0777');
    await ada.close();
  }
} finally {
  await browser.close();
}
const summary = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)], least: sorted[0], most: sorted.at(-1), n: sorted.length };
};
console.log(JSON.stringify(Object.fromEntries(Object.entries(figures).map(([name, values]) => [name, summary(values)]))));
