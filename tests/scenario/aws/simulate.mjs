// Evaluates cases against policies with iam-simulate: {"policies":{PHASE:[POLICY]},"cases":[{phase,action,resource,context,without?}]} in,
// (without: [policy, statement] that is left out) and an array of "Allowed" | "ImplicitlyDenied" | "ExplicitlyDenied" | "error: ..." out, one a case.
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
      policy: c.without && c.without[0] === i ? { ...policy, Statement: policy.Statement.filter((_, k) => k !== c.without[1]) } : policy,
    })),
    sessionPolicy: c.session,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: c.action.startsWith("kms:") && c.resource !== "*" ? {
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: "kms:*", Resource: "*" }],
    } : undefined,
  }, {});
  const said = result.overallResult ?? result.analysis?.result;
  out.push(result.resultType === "error" || result.errors ? `error: ${JSON.stringify(result.errors)}` : said);
}
console.log(JSON.stringify(out));
