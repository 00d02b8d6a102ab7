// Signatures by hand: what is to be signed is downloaded, signed by `ownhouse approve` on the customer's device without the
// control plane, and pasted or dropped back. Then the access, its revocation, the ledger, and a policy that is sealed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch, Person } from './browser.mjs';

const env = process.env;
const PATIENCE = { timeout: 90000 };
let browser;
let ada;
let folder;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'ownhouse-signing-'));
  browser = await launch();
  ada = await Person.at(browser, { allowed: [/status of 409/, /status of 404 .*serviceQueryEndpoint/] });
  await ada.signIn(env.OWNHOUSE_EMAIL, env.OWNHOUSE_PASSWORD);
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

function ownhouse(...words) {
  return execFileSync(env.OWNHOUSE_PROGRAM, words, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The file that the page gives out. */
async function download() {
  const [file] = await Promise.all([ada.page.waitForEvent('download'), ada.page.getByRole('button', { name: 'Download what is to be signed' }).click()]);
  const to = path.join(folder, file.suggestedFilename());
  await file.saveAs(to);
  return to;
}

/** Signs it as on a machine that knows no control plane: a home folder that holds nothing. */
function sign(verdict, file, key = 'OWNHOUSE_KEY', ...more) {
  const out = path.join(folder, `signature-${verdict}.json`);
  ownhouse(verdict, '--request', file, '--key', env[key], '--out', out, '--yes', '--home', path.join(folder, 'none'), ...more);
  return out;
}

const box = () => ada.page.getByLabel('Paste or drop the signature here');
const handOver = () => ada.page.getByRole('button', { name: /^Hand over/ }).click();
const badge = (state) => ada.page.locator(`.oh-page-title [data-state=${state}]`).waitFor(PATIENCE);

test('what waits is on the home page, and one click away', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go('/');
  await page.getByText(/laptop: a signature is needed: See ClickHouse/).first().waitFor(PATIENCE);
  await ada.go(`/requests/${env.OWNHOUSE_REQUEST}`);
  await page.getByText('Worked out again in this browser').waitFor();
  await page.getByText('0 of 1', { exact: true }).waitFor();
});

test('what is no signature of this is refused with what to do, and a key does not stay', { timeout: 240000 }, async () => {
  const { page } = ada;
  await handOver();
  await page.getByText('Paste the signature first.').waitFor();
  await box().fill('hello');
  await handOver();
  await page.getByText('This is not a signature.').waitFor();
  await box().fill('-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGb');
  await page.getByText('That was a private key.').waitFor();
  assert.equal(await box().inputValue(), '');
});

test('a signature that is pasted lets the access be opened, without a reload', { timeout: 240000 }, async () => {
  const { page } = ada;
  const file = await download();
  await box().fill(readFileSync(sign('approve', file), 'utf8'));
  await page.getByRole('button', { name: 'Hand over the approval' }).click();
  await badge('allowed');
  await page.getByText('1 of 1', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'How it is used and revoked' }).click();
  await page.getByRole('heading', { name: 'How it is used' }).waitFor();
  await page.getByText(`ownhouse connect ${env.OWNHOUSE_REQUEST}`).first().waitFor();
});

test('an access is revoked', { timeout: 240000 }, async () => {
  const { page } = ada;
  await page.getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await badge('ended');
  assert.equal(await page.getByRole('button', { name: 'Revoke' }).count(), 0);
});

test('a denial that is dropped ends a request for good', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go(`/requests/${env.OWNHOUSE_REQUEST_DENY}`);
  const text = readFileSync(sign('deny', await download()), 'utf8');
  const data = await page.evaluateHandle((t) => {
    const d = new DataTransfer();
    d.items.add(new File([t], 'signature.json', { type: 'application/json' }));
    return d;
  }, text);
  await page.dispatchEvent('.oh-drop', 'drop', { dataTransfer: data });
  await page.getByRole('button', { name: 'Hand over the denial' }).click();
  await badge('refused');
});

test('the command that the page makes asks for access', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go('/access');
  await page.getByRole('button', { name: 'Ask for access' }).click();
  await page.getByLabel('Reason').fill("what's slow?");
  const line = await page.getByRole('dialog').locator('pre').innerText();
  execFileSync('bash', ['-c', line.replace(/^ownhouse /, '"$OWNHOUSE_PROGRAM" ') + ' --home "$OWNHOUSE_HOME"'], { stdio: 'pipe' });
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
  await page.getByText("what's slow?").waitFor(PATIENCE);
});

test('the ledger is checked offline by the line that the page shows', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go('/ledger');
  await page.getByText('The control plane does not see the leaves').waitFor();
  await page.getByText(/leaves, cosigned/).waitFor(PATIENCE);
  const button = page.getByRole('button', { name: 'Download the checkpoint' });
  const [file] = await Promise.all([page.waitForEvent('download'), button.click()]);
  await file.saveAs(path.join(folder, file.suggestedFilename()));
  const lines = await page.locator('pre').first().innerText();
  const words = lines.replace(/^ownhouse/, '"$OWNHOUSE_PROGRAM"').replace(' DIR ', ' "$OWNHOUSE_LEDGER" ').replace(/checkpoint-laptop-\d+/, file.suggestedFilename().replace('ownhouse-', ''));
  // A checkpoint may be ahead of the copy in the bucket for a moment.
  for (let tries = 0; ; tries++) {
    try {
      execFileSync('bash', ['-c', words], { cwd: folder, stdio: 'pipe' });
      break;
    } catch (problem) {
      assert.ok(tries < 60, String(problem.stderr ?? problem));
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
});

test('a plan under a policy of two signatures: one is not enough, and each is counted', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go(`/plans/${env.OWNHOUSE_PLAN_PROPOSED}`);
  await page.getByText('0 of 2', { exact: true }).waitFor(PATIENCE);
  assert.equal(await page.getByRole('button', { name: 'Approve', exact: true }).count(), 0, 'the digest alone is not offered');
  for (const language of ['zh', 'en']) {
    await ada.wear(language, 'light');
    await ada.go(`/plans/${env.OWNHOUSE_PLAN_PROPOSED}`);
    await page.getByText(language === 'en' ? '0 of 2' : '0/2', { exact: true }).waitFor(PATIENCE);
    await ada.settled();
    assert.deepEqual(await ada.pictures('plan-proposed', language), []);
  }
  const file = await download();
  const bent = path.join(folder, 'bent.json');
  const papers = JSON.parse(readFileSync(file, 'utf8'));
  papers.plan.document.changes.pop();
  writeFileSync(bent, JSON.stringify(papers));
  await box().fill(readFileSync(sign('approve', bent), 'utf8'));
  await handOver();
  await page.getByText('This signs an earlier form of it.').waitFor();
  await box().fill(readFileSync(sign('approve', file, 'OWNHOUSE_STRANGER', '--passphrase-file', env.OWNHOUSE_PASSPHRASE), 'utf8'));
  await handOver();
  await page.getByText(/is not a key that the customer's policy names/i).waitFor();
  await box().fill(readFileSync(sign('approve', file), 'utf8'));
  await handOver();
  await page.getByText('1 of 2', { exact: true }).waitFor(PATIENCE);
  await badge('proposed');
  await page.getByRole('button', { name: 'Discard' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Discard' }).click();
  await badge('discarded');
});

test('under the policy sealed no page makes a password: it shows the command', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go(`/infrastructures/${env.OWNHOUSE_INFRASTRUCTURE}`);
  await page.getByText('sealed', { exact: true }).waitFor(PATIENCE);
  await page.getByRole('heading', { name: 'Kill switch' }).waitFor();
  await ada.go('/services/new');
  await page.getByRole('textbox', { name: 'Name' }).fill("sealed one's");
  await page.getByText("ownhouse services create 'sealed one'\\''s'").waitFor(PATIENCE);
  // What is chosen is in the command; what is not needs no word in it.
  const command = page.locator('pre', { hasText: 'ownhouse services create' });
  assert.match(await command.innerText(), /--memory 8 --replicas 1 --from 0\.0\.0\.0\/0$/);
  await page.getByLabel('Memory of each replica').selectOption('16');
  await page.getByLabel('Replicas', { exact: true }).selectOption('2');
  await page.getByRole('checkbox', { name: 'Sleep when nobody queries it' }).uncheck();
  assert.match(await command.innerText(), /--memory 16 --replicas 2 --from 0\.0\.0\.0\/0 --no-idle$/);
  assert.equal(await page.locator('button[type=submit]').count(), 0);
  assert.deepEqual(await ada.pictures('service-new-sealed', 'en'), []);
  await ada.go(`/services/${env.OWNHOUSE_SERVICE}`);
  await page.getByRole('button', { name: 'Reset password' }).click();
  await page.getByRole('dialog').getByText('ownhouse services password demo').waitFor(PATIENCE);
  assert.equal(await page.getByRole('dialog').locator('input').count(), 0);
  assert.deepEqual(await ada.pictures('service-password-sealed', 'en'), []);
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
  await ada.go(`/services/${env.OWNHOUSE_SERVICE}?tab=endpoints`);
  await page.getByRole('button', { name: 'Add a query endpoint' }).click();
  await page.getByRole('dialog').getByText('Choose only keys that were made on a device').waitFor(PATIENCE);
  assert.deepEqual(await ada.pictures('service-query-endpoint-sealed', 'en'), []);
});

test('an API key is made on the device: the lines are pasted, run, and what they print is handed over', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go('/keys');
  await page.getByText('made on your own device').waitFor(PATIENCE);
  await page.getByRole('button', { name: 'Create an API key' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: 'Name', exact: true }).fill('made on the device');
  await dialog.getByRole('checkbox', { name: 'Admin', exact: true }).check();
  await dialog.getByRole('button', { name: 'Copy', exact: true }).click();
  const lines = await page.evaluate(() => navigator.clipboard.readText());
  const printed = execFileSync('sh', ['-c', lines], { cwd: folder, encoding: 'utf8' });
  const [, id, secret] = /^key id: (\w{20})\nsecret: (\w{40})\n$/.exec(readFileSync(path.join(folder, 'ownhouse-api-key.txt'), 'utf8'));
  await dialog.getByLabel('Hashes of the key').fill(secret);
  await dialog.getByRole('button', { name: 'Create an API key' }).click();
  await dialog.getByText('This is not what the lines print').waitFor(PATIENCE);
  assert.deepEqual(await ada.pictures('key-new-sealed', 'en'), []);
  await dialog.getByLabel('Hashes of the key').fill(printed);
  await dialog.getByRole('button', { name: 'Create an API key' }).click();
  await dialog.waitFor({ state: 'detached', ...PATIENCE });
  await page.getByText('made on the device', { exact: true }).waitFor(PATIENCE);
  const status = await page.evaluate(async ([user, word]) => {
    return (await fetch('/v1/organizations', { credentials: 'omit', headers: { Authorization: `Basic ${btoa(`${user}:${word}`)}` } })).status;
  }, [id, secret]);
  assert.equal(status, 200, 'the key opens the API');
});

test('nothing went wrong on the way', () => assert.deepEqual(ada.problems, []));
