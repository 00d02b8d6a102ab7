// Lines that connect a client to a service: each works when pasted, with the data plane's own authority written first.

export interface Target {
  host: string;
  port: number;
  user: string;
  /** Only in the moment it is made; otherwise the lines ask for it or name where it goes. */
  password: string | null;
  /** PEM of the data plane's authority; null where public certificates are used. */
  ca: string | null;
  native: { host: string; port: number } | null;
}

export type Client = 'curl' | 'clickhouse' | 'python' | 'node' | 'go' | 'java' | 'csharp' | 'browser';

const CA_FILE = 'ownhouse-ca.pem';
export const PASSWORD_PLACE = 'PASSWORD';

export function shellQuote(text: string): string {
  return "'" + text.replaceAll("'", `'\\''`) + "'";
}

function caLines(ca: string | null): string {
  return ca ? `cat > ${CA_FILE} <<'PEM'\n${ca.trim()}\nPEM\n` : '';
}

const quoted = (text: string) => JSON.stringify(text);

export function connectLines(client: Client, t: Target): string {
  const url = `https://${t.host}:${t.port}`;
  const password = t.password ?? PASSWORD_PLACE;
  switch (client) {
    case 'curl':
      // Without a password curl asks for it, so that the line itself holds no secret.
      return (
        caLines(t.ca) +
        `curl ${t.ca ? `--cacert ${CA_FILE} ` : ''}--user ${shellQuote(t.password === null ? t.user : `${t.user}:${t.password}`)} ` +
        `${url}/ --data 'SELECT version()'`
      );
    case 'clickhouse':
      return t.native
        ? caLines(t.ca) +
            (t.ca
              ? `cat > ownhouse-client.xml <<'XML'\n<config><openSSL><client><caConfig>${CA_FILE}</caConfig></client></openSSL></config>\nXML\n`
              : '') +
            `clickhouse client ${t.ca ? '--config-file ownhouse-client.xml ' : ''}--host ${t.native.host} --port ${t.native.port} ` +
            `--secure --user ${shellQuote(t.user)} --password${t.password === null ? '' : ' ' + shellQuote(t.password)} ` +
            `--query 'SELECT version()'`
        : '';
    case 'python':
      return (
        caLines(t.ca) +
        `python3 -m venv ownhouse-python && ownhouse-python/bin/pip install --quiet clickhouse-connect\n` +
        `ownhouse-python/bin/python - <<'PYTHON'\nimport clickhouse_connect\n\nclient = clickhouse_connect.get_client(\n` +
        `    host=${quoted(t.host)}, port=${t.port}, secure=True,\n    username=${quoted(t.user)}, password=${quoted(password)}` +
        `${t.ca ? `,\n    ca_cert="${CA_FILE}"` : ''})\nprint(client.query("SELECT version()").result_rows)\nPYTHON`
      );
    case 'node':
      return (
        caLines(t.ca) +
        `npm install --no-save @clickhouse/client\nnode --input-type=module <<'NODE'\n` +
        `import { createClient } from '@clickhouse/client';\n${t.ca ? `import { readFileSync } from 'node:fs';\n` : ''}\n` +
        `const client = createClient({\n  url: ${quoted(url)},\n  username: ${quoted(t.user)},\n  password: ${quoted(password)},\n` +
        `${t.ca ? `  tls: { ca_cert: readFileSync('${CA_FILE}') },\n` : ''}});\n` +
        `const rows = await client.query({ query: 'SELECT version()', format: 'JSONEachRow' });\nconsole.log(await rows.json());\nNODE`
      );
    case 'go':
      return (
        `// go get github.com/ClickHouse/clickhouse-go/v2\n` +
        `${t.ca ? `ca, err := os.ReadFile("${CA_FILE}")\nif err != nil {\n\tlog.Fatal(err)\n}\nroots := x509.NewCertPool()\nroots.AppendCertsFromPEM(ca)\n` : ''}` +
        `conn := clickhouse.OpenDB(&clickhouse.Options{\n\tAddr:     []string{"${t.host}:${t.port}"},\n\tProtocol: clickhouse.HTTP,\n` +
        `\tAuth:     clickhouse.Auth{Username: ${quoted(t.user)}, Password: ${quoted(password)}},\n` +
        `\tTLS:      &tls.Config{${t.ca ? 'RootCAs: roots' : ''}},\n})\n` +
        `var version string\nif err := conn.QueryRow("SELECT version()").Scan(&version); err != nil {\n\tlog.Fatal(err)\n}\nfmt.Println(version)`
      );
    case 'java':
      return (
        `// com.clickhouse:clickhouse-jdbc\nvar settings = new java.util.Properties();\nsettings.put("user", ${quoted(t.user)});\n` +
        `settings.put("password", ${quoted(password)});\n${t.ca ? `settings.put("sslrootcert", "${CA_FILE}");\n` : ''}` +
        `var url = "jdbc:clickhouse:${url}";\ntry (var connection = java.sql.DriverManager.getConnection(url, settings);\n` +
        `     var rows = connection.createStatement().executeQuery("SELECT version()")) {\n    rows.next();\n    System.out.println(rows.getString(1));\n}`
      );
    case 'csharp':
      return (
        `// dotnet add package ClickHouse.Driver\nusing ClickHouse.Driver.ADO;\n\n` +
        `await using var connection = new ClickHouseConnection(\n    ${quoted(`Host=${t.host};Port=${t.port};Protocol=https;Username=${t.user};Password=${password}`)});\n` +
        `var command = connection.CreateCommand();\ncommand.CommandText = "SELECT version()";\nConsole.WriteLine(await command.ExecuteScalarAsync());`
      );
    case 'browser':
      return `${url}/?query=SELECT%20version()`;
  }
}
