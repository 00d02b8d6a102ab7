// After a removal: its report on the plan's page and on the infrastructure's, in both languages and themes.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Person } from './browser.mjs';

const { OWNHOUSE_EMAIL: email, OWNHOUSE_PASSWORD: password, OWNHOUSE_INFRASTRUCTURE: infrastructure, OWNHOUSE_PLAN: plan, OWNHOUSE_MADE: made } = process.env;
const PATIENCE = { timeout: 120000 };

let browser;
let ada;
before(async () => {
  browser = await launch();
  // Of one that is gone no policy is known any more; the plan's page asks for it all the same, to name who signed.
  ada = await Person.at(browser, { allowed: [/status of 404 .*\/consent$/] });
  await ada.signIn(email, password);
});
after(async () => browser?.close());

for (const [name, to] of [['plan-removed', `/plans/${plan}`], ['infrastructure-removed', `/infrastructures/${infrastructure}`]])
  for (const [language, theme, said, gone, why] of [
    ['en', 'light', `All ${made} resources that were ever made are gone`, `Gone: ${made}`, 'Looked for by its identity and not found'],
    ['zh', 'dark', `曾创建的 ${made} 个资源均已消失`, `已消失：${made}`, '按其标识查找，未找到'],
  ])
    test(`${name} in ${language}`, { timeout: 240000 }, async () => {
      const { page } = ada;
      await ada.wear(language, theme);
      await page.setViewportSize({ width: 1280, height: 900 });
      await ada.go(to);
      await page.getByText(said).waitFor(PATIENCE);
      await page.getByText(gone, { exact: true }).click();
      const table = page.getByRole('region', { name: gone });
      await table.getByText(why).first().waitFor(PATIENCE);
      assert.equal(await table.getByRole('row').count(), Number(made) + 1);
      assert.equal(await table.getByText('–', { exact: true }).count(), 0, 'each was removed at some time');
      assert.deepEqual(await ada.pictures(name, language), []);
      assert.deepEqual(ada.problems, []);
    });
