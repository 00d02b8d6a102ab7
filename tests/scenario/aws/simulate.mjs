// Evaluates cases against policies with iam-simulate: {"policies":{PHASE:[POLICY]},"cases":[{phase,action,resource,context,without?}]} in,
// (without: [policy, statement] that is left out, or [policy, statement, operator, key], its condition) and an array of "Allowed" |
// "ImplicitlyDenied" | "ExplicitlyDenied" | "error: ..." out, one a case.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { dirname, join } from "node:path";

const folder = dirname(process.argv[2]);
const entry = JSON.parse(readFileSync(process.argv[2])).exports["."].import;
const path = typeof entry === "string" ? entry : entry.default;
const { runSimulation } = await import(pathToFileURL(join(folder, path)));
const input = JSON.parse(readFileSync(0, "utf8"));
const account = "123456789012";
const out = [];

/* The statement without one key of one operator. */
function lighter(statement, operator, key) {
  const { [key]: _, ...rest } = statement.Condition[operator];
  const { [operator]: __, ...others } = statement.Condition;
  const condition = Object.keys(rest).length ? { ...others, [operator]: rest } : others;
  const { Condition: ___, ...bare } = statement;
  return Object.keys(condition).length ? { ...bare, Condition: condition } : bare;
}

function changed(policy, [, at, operator, key]) {
  const statements = operator === undefined ? policy.Statement.filter((_, k) => k !== at)
    : policy.Statement.map((s, k) => (k === at ? lighter(s, operator, key) : s));
  return { ...policy, Statement: statements };
}

for (const c of input.cases) {
  const result = await runSimulation({
    request: {
      principal: `arn:aws:iam::${account}:role/ownhouse/ownhouse-prod-${c.phase}`,
      action: c.action,
      resource: { resource: c.resource, accountId: account },
      contextVariables: c.context ?? {},
    },
    identityPolicies: input.policies[c.phase].map((policy, i) => ({
      name: `p${i}`,
      policy: c.without && c.without[0] === i ? changed(policy, c.without) : policy,
    })),
    sessionPolicy: c.session,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: c.resourcePolicy ?? (c.action.startsWith("kms:") && c.resource !== "*" ? {
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: "kms:*", Resource: "*" }],
    } : undefined),
  }, {});
  const said = result.overallResult ?? result.analysis?.result;
  out.push(result.resultType === "error" || result.errors ? `error: ${JSON.stringify(result.errors)}` : said);
}
console.log(JSON.stringify(out));
