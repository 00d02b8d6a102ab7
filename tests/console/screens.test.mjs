// Every screen in both languages and both themes: kept as pictures for a person to look at, checked with axe, at three
// widths. Nothing may stick out sideways or be cut, no message may be missing, and nothing may be complained of.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Person, results, url } from './browser.mjs';

const { OWNHOUSE_SERVICE: service, OWNHOUSE_INFRASTRUCTURE: infrastructure, OWNHOUSE_PLAN: plan, OWNHOUSE_ROLE: role } = process.env;
const email = process.env.OWNHOUSE_EMAIL;
const password = process.env.OWNHOUSE_PASSWORD;
const only = process.env.OWNHOUSE_SCREEN;

/** Opens something on the page, in whichever language it is shown. */
const press = (en, zh, within = (p) => p) => async (page) => {
  await within(page).getByRole('button', { name: new RegExp(`^(${en}|${zh})$`) }).first().click();
};
const inDialog = async (page) => page.locator('dialog[open]').waitFor();

const screens = {
  home: ['/'],
  services: ['/services'],
  'service-new': ['/services/new'],
  'service-new-more': ['/services/new', async (page) => page.locator('summary').getByText(/^(More settings|更多设置)$/).click()],
  'service-overview': [`/services/${service}`],
  'service-connect': [`/services/${service}?connect=1`, inDialog],
  'service-access': [`/services/${service}?tab=access`],
  'service-scaling': [`/services/${service}?tab=scaling`],
  'service-scaling-week': [`/services/${service}?tab=scaling`, press('Add a stretch', '添加时段')],
  'service-backups': [`/services/${service}?tab=backups`],
  'service-restore': [`/services/${service}?tab=backups`, press('Restore…', '恢复…')],
  'service-endpoints': [`/services/${service}?tab=endpoints`],
  'service-query-endpoint': [`/services/${service}?tab=endpoints`, press('Add a query endpoint', '添加查询端点')],
  'service-backup-bucket': [`/services/${service}?tab=backups`, press('Add a bucket', '添加存储桶')],
  'service-clickhouse': [`/services/${service}?tab=clickhouse`],
  'service-clickhouse-set': [`/services/${service}?tab=clickhouse`, press('Set max_threads', '设置 max_threads')],
  'service-settings': [`/services/${service}?tab=settings`],
  'service-history': [`/services/${service}?tab=history`],
  'service-password': [`/services/${service}`, press('Reset password', '重置密码')],
  'service-delete': [`/services/${service}`, press('Delete', '删除')],
  infrastructures: ['/infrastructures'],
  infrastructure: [`/infrastructures/${infrastructure}`],
  'infrastructure-remove': [`/infrastructures/${infrastructure}`, press('Remove', '移除')],
  'connect-account': ['/connect'],
  'connect-account-new': ['/connect', async (page) => page.getByText(/^(A new account|新账户)$/).click()],
  plan: [`/plans/${plan}`],
  'plan-picture': [`/plans/${plan}`, async (page) => page.getByRole('tab', { name: /^(Picture|图形)$/ }).click()],
  'plan-log': [`/plans/${plan}`, async (page) => page.getByRole('tab', { name: /^(Log|日志)$/ }).click()],
  requests: ['/requests'],
  request: [`/requests/${process.env.OWNHOUSE_REQUEST}`],
  'request-done': [`/requests/${process.env.OWNHOUSE_REQUEST_DONE}`],
  access: ['/access'],
  'access-ask': ['/access', async (page) => {
    await press('Ask for access', '申请访问')(page);
    await page.getByRole('textbox', { name: /^(Reason|原因)$/ }).fill("what's slow?");
  }],
  grant: [`/access/${process.env.OWNHOUSE_REQUEST}`],
  ledger: ['/ledger'],
  'request-missing': ['/requests/0b5e0000-0000-4000-8000-00000000ffff'],
  members: ['/members'],
  'member-invite': ['/members', press('Invite somebody', '邀请成员')],
  roles: ['/roles'],
  role: [`/roles/${role}`],
  'role-new': ['/roles/new'],
  keys: ['/keys'],
  'key-new': ['/keys', press('Create an API key', '创建 API 密钥')],
  activities: ['/activities'],
  usage: ['/usage'],
  settings: ['/settings'],
  profile: ['/profile'],
  'profile-authenticator': ['/profile', press('Turn on the authenticator', '启用身份验证器')],
  missing: ['/services/0b5e0000-0000-4000-8000-00000000ffff'],
};

let browser;
let person;
before(async () => {
  browser = await launch();
  person = await Person.at(browser, { allowed: [/status of 404/] });
  await person.signIn(email, password);
});
after(async () => browser?.close());

async function wear(page, language, theme) {
  // Under an open dialog the menu cannot be reached, so the choice is made as it is kept.
  await page.evaluate(([l, t]) => {
    localStorage.setItem('ownhouse-language', l);
    localStorage.setItem('ownhouse-theme', t);
  }, [language, theme]);
}

for (const [name, [to, then]] of Object.entries(screens)) {
  if (only && !name.includes(only)) continue;
  test(`screen ${name}`, { timeout: 240000 }, async () => {
    const { page } = person;
    const complaints = [];
    for (const language of ['en', 'zh']) {
      await wear(page, language, 'light');
      await page.setViewportSize({ width: 1280, height: 900 });
      await person.go(to);
      await person.settled();
      if (then) await then(page);
      await person.settled();
      complaints.push(...(await person.pictures(name, language)));
      const text = await page.evaluate(() => document.body.innerText);
      complaints.push(...(text.match(/\b(undefined|NaN|\[object Object\]|Invalid Date)\b/g) ?? []));
      complaints.push(...(text.match(/\{\w+\}/g) ?? []).filter((t) => !text.includes('<<')));
      complaints.push(...(text.match(/^(error|state|service|plan|home|form|list|nav)\.[a-z][A-Za-z.]+$/gm) ?? []));
    }
    assert.equal(await page.title(), `${await page.locator('h1').innerText()} · OwnHouse`, 'the title of the page');
    assert.deepEqual(complaints, []);
    assert.deepEqual(person.problems.splice(0), []);
  });
}

for (const [name, to] of Object.entries({ 'sign-in': '/sign-in', 'set-up': '/set-up#' + 'A'.repeat(43), invitation: '/invitation#' + 'A'.repeat(43), 'set-up-no-token': '/set-up' })) {
  if (only && !name.includes(only)) continue;
  test(`door ${name}`, { timeout: 240000 }, async () => {
    const complaints = [];
    for (const [language, theme] of [['en', 'light'], ['zh', 'dark']]) {
      const stranger = await Person.at(browser, { language, theme, allowed: [/status of 40[0134]/] });
      await stranger.go(to);
      await stranger.settled();
      complaints.push(...(await stranger.pictures(name, language)), ...stranger.problems);
      await stranger.close();
    }
    assert.deepEqual(complaints, []);
  });
}

test('the keyboard alone: to the services, into a service, its tabs, a dialog and back', { timeout: 240000 }, async () => {
  if (only) return;
  const { page } = person;
  await wear(page, 'en', 'light');
  await page.setViewportSize({ width: 1280, height: 900 });
  await person.go('/');
  await person.settled();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  const tabTo = async (name) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      if ((await page.evaluate(() => document.activeElement?.textContent?.trim())) === name) return;
    }
    assert.fail(`no Tab leads to ${name}`);
  };
  await tabTo('Services');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Services' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'H1', 'focus goes to the new page');
  await tabTo('demo');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'demo' }).waitFor();
  await tabTo('Overview');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.getByRole('tab', { name: 'Access list' }).getAttribute('aria-selected'), 'true');
  await page.getByRole('button', { name: 'Delete' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.match(await page.evaluate(() => document.activeElement?.textContent ?? ''), /Delete/, 'focus comes back');
});

console.log(`# pictures of ${url} are in ${results}`);
