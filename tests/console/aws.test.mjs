// An AWS account by clicking: connected, its roles applied, verified, looked into, and an infrastructure planned, made and
// taken away. moto stands for AWS.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { launch, Person } from './browser.mjs';

const { OWNHOUSE_AWS: aws, OWNHOUSE_AWS_URL: cloud, OWNHOUSE_MORE: more, OWNHOUSE_CONTROLLER: controller } = process.env;
let browser;
let ada;
before(async () => {
  browser = await launch();
  ada = await Person.at(browser);
  const { page } = ada;
  await ada.go(process.env.OWNHOUSE_SET_UP);
  await page.getByLabel('Your name').fill('Ada Lovelace');
  await page.getByLabel('E-mail address').fill('ada@example.org');
  await page.getByLabel('New password').fill('correct horse battery');
  await page.getByLabel('The same again').fill('correct horse battery');
  await page.getByRole('button', { name: 'Begin' }).click();
  await page.getByRole('heading', { level: 1, name: 'My organization' }).waitFor();
});
after(async () => browser?.close());

function call(...words) {
  return execFileSync(aws, ['--endpoint-url', cloud, '--region', 'us-east-1', '--output', 'json', ...words], { encoding: 'utf8' });
}

/** Asserts that the screen as it stands is right in both languages, both themes and all widths. */
async function look(name) {
  const { page } = ada;
  const complaints = [];
  for (const language of ['zh', 'en']) {
    await page.evaluate((l) => localStorage.setItem('ownhouse-language', l), language);
    await page.setViewportSize({ width: 1280, height: 900 });
    await ada.go(page.url());
    await ada.settled();
    complaints.push(...(await ada.pictures(name, language)));
    const text = await page.evaluate(() => document.body.innerText);
    complaints.push(...(text.match(/\b(undefined|NaN|\[object Object\]|Invalid Date)\b|^(aws|finding|state|plan)\.[a-z][A-Za-z.]+$/gm) ?? []));
  }
  assert.deepEqual(complaints, []);
}

test('the account is connected', { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go('/connect');
  await page.getByText('A new account', { exact: true }).click();
  await page.getByLabel('Name of the account').fill('prod');
  await page.getByLabel('AWS account id').fill('1234');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByText('An AWS account id has twelve digits.').waitFor();
  await page.getByLabel('AWS account id').fill('123456789012');
  await page.getByText('More settings', { exact: true }).click();
  await page.getByLabel('More settings (JSON)').fill('{');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByText('This must be a JSON object').waitFor();
  await page.getByLabel('More settings (JSON)').fill(more);
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByRole('heading', { name: 'Roles for you to apply' }).waitFor();
});

test('the roles by phase, with the artefact that their owner applies', { timeout: 240000 }, async () => {
  const { page } = ada;
  assert.equal(await page.getByLabel("The controller's principal (ARN)").inputValue(), controller, 'the controller said who it is');
  for (const phase of ['Inspect', 'Provision', 'Operate', 'Remove']) await page.locator('.oh-tree summary', { hasText: phase }).waitFor();
  await page.locator('.oh-tree summary', { hasText: 'Inspect' }).click();
  await page.locator('details[open]').getByText('ec2:DescribeVpcs').waitFor();
  await look('aws-roles');
  const external = (await page.locator('.oh-facts div', { hasText: 'External id' }).locator('code').textContent()).trim();
  assert.match(external, /^[0-9a-f]{32}$/);
  for (const [button, name] of [['Terraform module', 'main.tf.json'], ['CloudFormation template', 'cloudformation.json']]) {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: button, exact: true }).click()]);
    assert.equal(download.suggestedFilename(), name);
    const file = await download.path();
    assert.ok(readFileSync(file, 'utf8').includes(external), `${name} has the external id`);
    if (name === 'cloudformation.json')
      call('cloudformation', 'create-stack', '--stack-name', 'ownhouse-prod', '--capabilities', 'CAPABILITY_NAMED_IAM', '--template-body', `file://${file}`,
        '--parameters', 'ParameterKey=DeleteData,ParameterValue=true');
  }
});

test("the second part: the buckets' policies, in both forms", { timeout: 240000 }, async () => {
  const { page } = ada;
  await page.getByRole('heading', { name: 'Policies for its buckets, once they are there' }).waitFor();
  await page.getByText('When the infrastructure has been made, this page shows the command').waitFor();
  const fetched = async (button, name) => {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: button }).click()]);
    assert.equal(download.suggestedFilename(), name);
    return readFileSync(await download.path(), 'utf8');
  };
  const template = JSON.parse(await fetched('CloudFormation template for the buckets', 'buckets.json'));
  assert.deepEqual([...new Set(Object.values(template.Resources).map((r) => r.Type))], ['AWS::S3::BucketPolicy']);
  assert.ok(template.Parameters.Infrastructure);
  const module = JSON.parse(await fetched('Terraform module for the buckets', 'buckets.tf.json'));
  assert.deepEqual(Object.keys(module.resource), ['aws_s3_bucket_policy']);
});

test('verifying names what is wrong', { timeout: 240000 }, async () => {
  const { page } = ada;
  await page.getByRole('button', { name: 'Verify the roles' }).click();
  // moto lets anybody in: exactly this must be said.
  const row = page.getByRole('row', { name: /Inspect role: without external id/ });
  await row.getByText('wrong', { exact: true }).waitFor();
  await row.getByText('apply the artefact again').waitFor();
  await page.getByRole('row', { name: /^Inspect role: artefact/ }).getByText('right', { exact: true }).waitFor();
  await look('aws-verify');
  await page.getByRole('button', { name: 'Next' }).click();
});

test('the range: what it carries follows the typing, and is what the control plane says', { timeout: 240000 }, async () => {
  const { page } = ada;
  const range = page.getByLabel('Address range');
  await range.fill('10.40.0.0/15');
  await page.getByText('The range must be a private network from /16 to /23').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Show me the plan' }).isDisabled());
  await range.fill('10.40.0.0/16');
  await page.getByText('1,482 nodes, 1,476 replicas').waitFor();
  await page.getByLabel('Size of the range').press('ArrowRight');
  assert.equal(await range.inputValue(), '10.40.0.0/17');
  await page.getByLabel('Size of the range').press('ArrowLeft');
  await page.getByRole('button', { name: 'Look ahead' }).click();
  await page.getByRole('row', { name: /^Capacity/ }).getByText('1,482 nodes, 1,476 replicas').waitFor();
  await page.getByRole('row', { name: /^Quota: VPCs/ }).waitFor();
  await look('aws-preflight');
  await page.getByLabel('Address range').fill('10.40.0.0/16');
  await page.getByLabel('us-east-1c').uncheck();
  await page.getByText('Choose exactly three zones.').waitFor();
  await page.getByLabel('us-east-1d').check();
});

test('the plan is shown, approved, and followed to its end', { timeout: 400000 }, async () => {
  const { page } = ada;
  await page.getByRole('button', { name: 'Show me the plan' }).click();
  await page.getByRole('heading', { level: 1, name: 'Make as wanted' }).waitFor();
  await page.getByText(/\d+ to create/).first().waitFor();
  await page.getByText('aws_vpc', { exact: true }).waitFor();
  const made = JSON.parse(call('ec2', 'describe-vpcs', '--filters', 'Name=tag-key,Values=ownhouse:infrastructure')).Vpcs;
  assert.equal(made.length, 0, 'nothing is made before it is approved');
  await look('aws-plan');
  await page.getByRole('button', { name: 'Approve', exact: true }).click();
  await page.getByRole('button', { name: 'Approve exactly this' }).click();
  await page.locator('.oh-page-title [data-state=applied]').waitFor({ timeout: 300000 });
  const subnets = JSON.parse(call('ec2', 'describe-subnets', '--filters', 'Name=tag-key,Values=ownhouse:infrastructure')).Subnets;
  assert.deepEqual([...new Set(subnets.map((s) => s.AvailabilityZone))].sort(), ['us-east-1a', 'us-east-1b', 'us-east-1d']);
});

test("the line that attaches the buckets' policies names the infrastructure, and works as it is", { timeout: 240000 }, async () => {
  const { page } = ada;
  await ada.go('/connect');
  await page.getByRole('radio', { name: /^prod/ }).check();
  await page.getByRole('button', { name: 'Next' }).click();
  const line = (await page.getByRole('region', { name: /^Apply them to / }).textContent()).trim();
  const [, part] = /Infrastructure=([0-9a-f]{8})$/.exec(line);
  await look('aws-buckets');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CloudFormation template for the buckets' }).click()]);
  call('cloudformation', 'create-stack', '--stack-name', 'buckets', '--template-body', `file://${await download.path()}`, '--parameters', `ParameterKey=Infrastructure,ParameterValue=${part}`);
  const resources = JSON.parse(call('cloudformation', 'describe-stack-resources', '--stack-name', 'buckets')).StackResources;
  assert.equal(resources.length, 4);
});

test('nothing went wrong on the way', () => assert.deepEqual(ada.problems, []));
