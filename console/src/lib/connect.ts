// Lines that connect a client to a service: each works when pasted, with the data plane's own authority written first.

export interface Target {
  host: string;
  port: number;
  user: string;
  /** Only in the moment it is made; otherwise the lines ask for it or name where it goes. */
  password: string | null;
  /** Port of the service's own on this machine; null where there is none. */
  localPort: number | null;
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

/** As C# writes a text: verbatim, with only its quotes doubled. */
const verbatim = (text: string) => `@"${text.replaceAll('"', '""')}"`;

/** The edition of clickhouse-jdbc that the lines were run with: Maven wants one named. */
export const JDBC_VERSION = '0.10.0';

/**
 * Where programs connect to. curl and browsers know that every name under .localhost is this machine; the resolver that
 * other programs ask often does not, so there the service's own port at localhost is named.
 */
function place(t: Target): { host: string; port: number } {
  return t.host.endsWith('.localhost') && t.localPort ? { host: 'localhost', port: t.localPort } : { host: t.host, port: t.port };
}

/**
 * clickhouse-go where the native protocol is answered. Without it the standard library alone: over HTTP clickhouse-go
 * asks for the Native format of a protocol version, which the embedded engine does not give.
 */
function goLines(t: Target, password: string): string {
  const at = place(t);
  const tls = (serverName: string) => `&tls.Config{${[t.ca && 'RootCAs: roots', serverName && `ServerName: ${quoted(serverName)}`].filter(Boolean).join(', ')}}`;
  const roots = t.ca ? `\tca, err := os.ReadFile("${CA_FILE}")\n\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n\troots := x509.NewCertPool()\n\troots.AppendCertsFromPEM(ca)\n` : '';
  const here = t.native?.host.endsWith('.localhost');
  const imports = ['crypto/tls', t.ca && 'crypto/x509', 'fmt', !t.native && 'io', 'log', !t.native && 'net/http', t.ca && 'os', !t.native && 'strings']
    .filter(Boolean)
    .map((name) => `\t"${name}"\n`)
    .join('');
  const body = t.native
    ? `\tdb := clickhouse.OpenDB(&clickhouse.Options{\n\t\tAddr: []string{${quoted(`${here ? 'localhost' : t.native.host}:${t.native.port}`)}},\n` +
      `\t\tAuth: clickhouse.Auth{Username: ${quoted(t.user)}, Password: ${quoted(password)}},\n\t\tTLS:  ${tls(here ? t.native.host : '')},\n\t})\n\tdefer db.Close()\n` +
      `\tvar version string\n\tif err := db.QueryRow("SELECT version()").Scan(&version); err != nil {\n\t\tlog.Fatal(err)\n\t}\n\tfmt.Println(version)\n`
    : `\trequest, err := http.NewRequest("POST", ${quoted(`https://${at.host}:${at.port}/`)}, strings.NewReader("SELECT version()"))\n\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n` +
      `\trequest.SetBasicAuth(${quoted(t.user)}, ${quoted(password)})\n\tclient := http.Client{Transport: &http.Transport{TLSClientConfig: ${tls('')}}}\n` +
      `\tanswer, err := client.Do(request)\n\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n\tdefer answer.Body.Close()\n\ttext, err := io.ReadAll(answer.Body)\n` +
      `\tif err != nil || answer.StatusCode != 200 {\n\t\tlog.Fatal(answer.Status, string(text), err)\n\t}\n\tfmt.Print(string(text))\n`;
  return (
    `mkdir -p ownhouse-go\n${caLines(t.ca).replace(CA_FILE, `ownhouse-go/${CA_FILE}`)}cat > ownhouse-go/main.go <<'GO'\npackage main\n\nimport (\n${imports}` +
    `${t.native ? '\n\t"github.com/ClickHouse/clickhouse-go/v2"\n' : ''})\n\nfunc main() {\n${roots}${body}}\nGO\n` +
    `(cd ownhouse-go && { [ -f go.mod ] || go mod init ownhouse-go; } && ${t.native ? 'go get github.com/ClickHouse/clickhouse-go/v2 && ' : ''}go run .)`
  );
}

/** Maven brings the driver, and Java runs the one file as it is: no project is built. */
function javaLines(t: Target, password: string): string {
  const at = place(t);
  return (
    `mkdir -p ownhouse-java\n${caLines(t.ca).replace(CA_FILE, `ownhouse-java/${CA_FILE}`)}cat > ownhouse-java/pom.xml <<'XML'\n<project>\n  <modelVersion>4.0.0</modelVersion>\n` +
    `  <groupId>ownhouse</groupId>\n  <artifactId>query</artifactId>\n  <version>1</version>\n  <dependencies>\n    <dependency>\n      <groupId>com.clickhouse</groupId>\n` +
    `      <artifactId>clickhouse-jdbc</artifactId>\n      <version>${JDBC_VERSION}</version>\n    </dependency>\n  </dependencies>\n</project>\nXML\n` +
    `cat > ownhouse-java/Query.java <<'JAVA'\nimport java.sql.DriverManager;\nimport java.util.Properties;\n\npublic class Query {\n    public static void main(String[] args) throws Exception {\n` +
    `        var settings = new Properties();\n        settings.put("user", ${quoted(t.user)});\n        settings.put("password", ${quoted(password)});\n` +
    // By itself the driver asks for blocks in the native compression, which the embedded engine does not give.
    `${t.native ? '' : `        settings.put("compress", "0");\n`}${t.ca ? `        settings.put("sslrootcert", "${CA_FILE}");\n` : ''}        var url = ${quoted(`jdbc:clickhouse:https://${at.host}:${at.port}`)};\n` +
    `        try (var connection = DriverManager.getConnection(url, settings);\n             var rows = connection.createStatement().executeQuery("SELECT version()")) {\n` +
    `            rows.next();\n            System.out.println(rows.getString(1));\n        }\n    }\n}\nJAVA\n` +
    `(cd ownhouse-java && mvn --batch-mode --quiet dependency:copy-dependencies -DoutputDirectory=lib && java -cp 'lib/*' Query.java)`
  );
}

/**
 * .NET's own HTTP client. Its certificates are checked as always; only that the authority is not one of the system's is
 * allowed, and only for the one authority in the file.
 */
function csharpLines(t: Target, password: string): string {
  const at = place(t);
  const names = ['System', t.ca && 'System.Linq', 'System.Net.Http', 'System.Net.Http.Headers', t.ca && 'System.Net.Security', t.ca && 'System.Security.Cryptography.X509Certificates', 'System.Text'];
  const trust = t.ca
    ? `        var authority = new X509Certificate2("${CA_FILE}");\n        handler.ServerCertificateCustomValidationCallback = (message, certificate, chain, errors) =>\n` +
      `            errors == SslPolicyErrors.None || (errors == SslPolicyErrors.RemoteCertificateChainErrors && chain != null\n` +
      `                && chain.ChainStatus.All(s => s.Status == X509ChainStatusFlags.UntrustedRoot)\n` +
      `                && chain.ChainElements[chain.ChainElements.Count - 1].Certificate.RawData.SequenceEqual(authority.RawData));\n`
    : '';
  return (
    `[ -f ownhouse-csharp/ownhouse-csharp.csproj ] || dotnet new console --output ownhouse-csharp\n${caLines(t.ca).replace(CA_FILE, `ownhouse-csharp/${CA_FILE}`)}` +
    `cat > ownhouse-csharp/Program.cs <<'CSHARP'\n${names.filter(Boolean).map((name) => `using ${name};\n`).join('')}\nclass Program\n{\n    static void Main()\n    {\n` +
    `        var handler = new HttpClientHandler();\n${trust}        var client = new HttpClient(handler);\n` +
    `        var login = Encoding.UTF8.GetBytes(${verbatim(`${t.user}:`)} + ${verbatim(password)});\n` +
    `        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(login));\n` +
    `        var answer = client.PostAsync(${verbatim(`https://${at.host}:${at.port}/`)}, new StringContent("SELECT version()")).GetAwaiter().GetResult();\n` +
    `        var text = answer.Content.ReadAsStringAsync().GetAwaiter().GetResult();\n        if (!answer.IsSuccessStatusCode) throw new Exception((int)answer.StatusCode + " " + text);\n` +
    `        Console.Write(text);\n    }\n}\nCSHARP\n(cd ownhouse-csharp && dotnet run)`
  );
}

export function connectLines(client: Client, t: Target): string {
  const url = `https://${t.host}:${t.port}`;
  const at = place(t);
  const atUrl = `https://${at.host}:${at.port}`;
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
        `    host=${quoted(at.host)}, port=${at.port}, secure=True,\n    username=${quoted(t.user)}, password=${quoted(password)}` +
        `${t.ca ? `,\n    ca_cert="${CA_FILE}"` : ''})\nprint(client.query("SELECT version()").result_rows)\nPYTHON`
      );
    case 'node':
      // A file beside node_modules: what is read from standard input finds packages only by where the shell stands.
      return (
        caLines(t.ca) +
        `npm install --no-save @clickhouse/client\ncat > ownhouse-query.mjs <<'NODE'\n` +
        `import { createClient } from '@clickhouse/client';\n${t.ca ? `import { readFileSync } from 'node:fs';\n` : ''}\n` +
        `const client = createClient({\n  url: ${quoted(atUrl)},\n  username: ${quoted(t.user)},\n  password: ${quoted(password)},\n` +
        `${t.ca ? `  tls: { ca_cert: readFileSync('${CA_FILE}') },\n` : ''}});\n` +
        `const rows = await client.query({ query: 'SELECT version()', format: 'JSONEachRow' });\nconsole.log(await rows.json());\nawait client.close();\nNODE\nnode ownhouse-query.mjs`
      );
    case 'go':
      return goLines(t, password);
    case 'java':
      return javaLines(t, password);
    case 'csharp':
      return csharpLines(t, password);
    case 'browser':
      return `${url}/?query=SELECT%20version()`;
  }
}
