// A browser that watches for what must not happen: console errors, reports of the Content-Security-Policy, requests to
// another host, pages that break. Chromium is Debian's; Playwright and axe come from the console's own packages.
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import { createHash, X509Certificate } from 'node:crypto';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const top = fileURLToPath(new URL('../../', import.meta.url));
const require = createRequire(path.join(top, 'console/package.json'));
const { chromium } = require('playwright-core');
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const url = process.env.OWNHOUSE_URL;
export const results = process.env.OWNHOUSE_RESULTS ?? path.join(top, 'test-results/console');
mkdirSync(results, { recursive: true });

/** SHA-256 of the public key: this certificate is trusted, and no other is. */
function pin(file) {
  const key = new X509Certificate(readFileSync(file)).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('base64');
}

export async function launch() {
  const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'];
  if (process.env.OWNHOUSE_EDGE) flags.push(`--ignore-certificate-errors-spki-list=${pin(process.env.OWNHOUSE_EDGE)}`);
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: flags });
}

/** A person at a browser of their own. `allowed`: patterns of console messages that this test brings about itself. */
export class Person {
  static async at(browser, { language = 'en', theme = 'light', width = 1280, height = 900, allowed = [] } = {}) {
    const context = await browser.newContext({
      viewport: { width, height },
      locale: language === 'zh' ? 'zh-CN' : 'en-US',
      colorScheme: theme,
      timezoneId: 'UTC',
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    context.setDefaultTimeout(Number(process.env.OWNHOUSE_PATIENCE ?? 60000));
    const person = new Person();
    Object.assign(person, { context, problems: [], allowed, page: await context.newPage() });
    await person.page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (e) =>
        console.error(`CSP ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
    });
    const note = (text) => {
      // Chromium breaks off what is under way when any network interface of the machine comes or goes.
      if (text.includes('net::ERR_NETWORK_CHANGED')) {
        person.networkChanged = true;
        return;
      }
      // Streams that were broken off so count as open until the server finds that their readers are gone.
      if (person.networkChanged && /status of 429 .*\/events$/.test(text)) return;
      if (!person.allowed.some((a) => a.test(text))) person.problems.push(text);
    };
    person.page.on('console', (m) => ['error', 'warning'].includes(m.type()) && note(`console ${m.type()}: ${m.text()} ${m.location().url}`));
    person.page.on('requestfailed', (r) => {
      if (r.failure()?.errorText.includes('ERR_NETWORK_CHANGED')) person.cutOff = true;
    });
    person.page.on('pageerror', (e) => note(`page error: ${e.stack}`));
    person.page.on('request', (r) => {
      const to = new URL(r.url());
      if (!['data:', 'blob:'].includes(to.protocol) && to.origin !== new URL(url).origin) note(`request to ${r.url()}`);
    });
    return person;
  }
  /** Opens a page; again where the machine's network changed under it and cut its scripts off. */
  async go(to) {
    for (let tries = 0; tries < 5; tries++) {
      this.cutOff = false;
      // From an address that differs only behind # nothing would be loaded again.
      const again = tries > 0 ? to.replace('#', `?again=${tries}#`) : to;
      await this.page.goto(again.startsWith('https:') ? again : url + again).catch((problem) => {
        if (!/ERR_NETWORK_CHANGED|chrome-error:|interrupted by another navigation/.test(String(problem))) throw problem;
        this.cutOff = true;
      });
      const patience = this.cutOff ? 1 : 10000 * (tries + 1);
      const there = await this.page.locator('h1').first().waitFor({ timeout: patience }).then(() => true, () => false);
      if (there && !this.cutOff) return;
    }
  }
  /** Until nothing is loading any more. */
  async settled() {
    await this.page.waitForFunction(() => document.querySelector('h1') && !document.querySelector('.oh-skeleton'));
    await this.page.evaluate(() => document.fonts.ready);
  }
  /** From the next page that is opened. */
  async wear(language, theme) {
    await this.page.evaluate(([l, t]) => {
      localStorage.setItem('ownhouse-language', l);
      localStorage.setItem('ownhouse-theme', t);
    }, [language, theme]);
  }
  async signIn(email, password) {
    await this.go('/sign-in');
    await this.page.locator('input[type=email]').fill(email);
    await this.page.locator('input[type=password]').fill(password);
    const frame = this.page.locator('.oh-frame'), submit = this.page.locator('button[type=submit]');
    await submit.click();
    // Chromium breaks requests off when the machine's network changes; the form stays then, and is sent again.
    for (let tries = 0; tries < 5; tries++) {
      if (await frame.waitFor({ timeout: 10000 }).then(() => true, () => false)) return;
      if (await submit.isEnabled({ timeout: 1000 }).catch(() => false)) await submit.click({ timeout: 1000 }).catch(() => undefined);
    }
    await frame.waitFor();
  }
  async shot(name, { fullPage = true } = {}) {
    // What sticks to the window lies elsewhere in the picture of a whole page that was scrolled.
    await this.page.evaluate(() => window.scrollTo(0, 0));
    await this.page.screenshot({ path: path.join(results, `${name}.png`), fullPage, animations: 'disabled' });
  }
  /** Sentences, one a violation of WCAG 2.2 AA. */
  async axe() {
    await this.page.evaluate((source) => {
      if (!window.axe) new Function(source)();
    }, axeSource).catch(async () => {
      // The policy forbids eval in the page; Playwright's isolated world is not the page.
      await this.page.evaluate(axeSource);
    });
    const found = await this.page.evaluate(() =>
      window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
    return found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${v.help}: ${n.target.join(' ')}: ${n.failureSummary}`));
  }
  /** What sticks out sideways: of the window, or of whatever holds it without letting it be scrolled; and words in columns
   * too narrow for them. */
  async overflow() {
    return this.page.evaluate(() => {
      const width = document.documentElement.clientWidth;
      const all = [...document.querySelectorAll('body *')].filter((e) => !e.closest('.oh-hidden, .oh-skip, .oh-week-frame, svg, pre, select'));
      const beyond = all
        .filter((e) => e.getBoundingClientRect().right > width + 1 && !e.closest('.oh-scroll'))
        .map((e) => `${e.tagName}.${e.className} reaches ${Math.round(e.getBoundingClientRect().right)} of ${width} px`);
      const cut = all
        .filter((e) => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && !e.closest('input, textarea'))
        .filter((e) => !/auto|scroll/.test(getComputedStyle(e).overflowX) || e.matches('.oh-scroll:has(table)'))
        .map((e) => `${e.tagName}.${e.className} holds ${e.scrollWidth} px in ${e.clientWidth}`);
      const squeezed = [...document.querySelectorAll('td, th, [role=cell]')]
        .filter((e) => !e.closest('.oh-week-frame')) // its words are for ears alone
        .filter((e) => e.textContent.length > 8 && e.clientWidth > 0 && e.clientWidth < 40)
        .map((e) => `${e.textContent.slice(0, 30)} in ${e.clientWidth} px`);
      return [...beyond, ...cut, ...squeezed].slice(0, 5);
    });
  }
  /** Pictures of the page as it stands, at each width and in both themes, for a person to look at; gives sentences about
   * what is cut there, and what axe finds at the first width: in light where it is English and in dark where Chinese, since
   * colours do not depend on the language. Leaves the first width and light behind. */
  async pictures(name, language, widths = [1280, 2560, 360]) {
    const { page } = this;
    const complaints = [];
    const wear = (theme) => page.evaluate((t) => (document.documentElement.dataset.cuiTheme = t), theme);
    const size = (width) => page.setViewportSize({ width, height: { 360: 740, 1280: 900, 2560: 1300 }[width] });
    for (const width of widths) {
      await size(width);
      for (const theme of ['light', 'dark']) {
        await wear(theme);
        await this.shot(`${name}.${language}.${theme}.${width}`);
        if (width === widths[0] && (language === 'en') === (theme === 'light'))
          complaints.push(...(await this.axe()).map((c) => `${name} ${language} ${theme}: ${c}`));
      }
      complaints.push(...(await this.overflow()).map((c) => `${name} ${language} ${width} px: ${c}`));
    }
    await size(widths[0]);
    await wear('light');
    return complaints;
  }
  async close() {
    await this.context.close();
  }
}
