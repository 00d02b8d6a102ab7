/* The official Node client against the server: what an application does.
 *
 * Run by test_node.py; by hand:
 *   NODE_PATH=DIR/node_modules CLICKHOUSE_URL=http://127.0.0.1:8123 CLICKHOUSE_PASSWORD=... node --test client.test.js
 * Behind the ingress: an https URL, and NODE_EXTRA_CA_CERTS naming its CA. */
'use strict'
const { test, before, after } = require('node:test')
const assert = require('node:assert')
const { Readable } = require('node:stream')
const { setTimeout: sleep } = require('node:timers/promises')
const { createClient, ClickHouseError } = require('@clickhouse/client')

const options = {
  url: process.env.CLICKHOUSE_URL,
  username: process.env.CLICKHOUSE_USER || 'default',
  password: process.env.CLICKHOUSE_PASSWORD,
}
const table = 'node_client_test'
const client = createClient(options)
const SLOW = 'SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))'

before(async () => {
  await client.command({ query: `DROP TABLE IF EXISTS ${table}` })
  await client.command({ query: `CREATE TABLE ${table} (id UInt64, name String) ENGINE = MergeTree ORDER BY id` })
})

after(async () => {
  await client.command({ query: `DROP TABLE IF EXISTS ${table}` })
  await client.close()
})

async function rows(query, format = 'JSONEachRow', more = {}) {
  const result = await client.query({ query, format, ...more })
  return result.json()
}

async function count() {
  return Number((await rows(`SELECT count() AS n FROM ${table}`))[0].n)
}

async function running(mark) {
  const query = `SELECT count() AS n FROM system.processes WHERE query LIKE '%${mark}%' AND query NOT LIKE '%processes%'`
  return Number((await rows(query))[0].n)
}

test('ping', async () => {
  assert.deepStrictEqual(await client.ping(), { success: true })
  assert.strictEqual((await client.ping({ select: true })).success, true)
})

test('insert JSONEachRow', async () => {
  const result = await client.insert({
    table,
    values: [{ id: 1, name: 'one' }, { id: '2', name: "it's" }],
    format: 'JSONEachRow',
  })
  assert.strictEqual(result.executed, true)
  assert.strictEqual(result.summary.written_rows, '2')
  assert.match(result.query_id, /^[0-9a-f-]{36}$/)
  assert.deepStrictEqual(await rows(`SELECT toUInt32(id) AS id, name FROM ${table} ORDER BY id`), [
    { id: 1, name: 'one' },
    { id: 2, name: "it's" },
  ])
})

test('insert a stream of objects', async () => {
  const before = await count()
  async function* objects() {
    for (let id = 1000; id < 51000; id++) yield { id, name: `name ${id}` }
  }
  await client.insert({ table, values: Readable.from(objects(), { objectMode: true }), format: 'JSONEachRow' })
  assert.strictEqual(await count(), before + 50000)
})

test('insert a stream of text, compressed', async () => {
  for (const compression of [{ request: true }, { request: true, response: true }]) {
    const packed = createClient({ ...options, compression })
    const before = await count()
    async function* lines() {
      for (let id = 100000; id < 120000; id++) yield `${id},"packed"\n`
    }
    await packed.insert({ table, values: Readable.from(lines(), { objectMode: false }), format: 'CSV' })
    const result = await packed.query({ query: `SELECT count() AS n FROM ${table}`, format: 'JSON' })
    assert.strictEqual(Number((await result.json()).data[0].n), before + 20000)
    await packed.close()
  }
})

test('select JSON', async () => {
  const result = await client.query({ query: 'SELECT number AS n FROM numbers(3)', format: 'JSON' })
  const document = await result.json()
  assert.strictEqual(document.rows, 3)
  assert.deepStrictEqual(document.meta, [{ name: 'n', type: 'UInt64' }])
  assert.deepStrictEqual(document.data.map((r) => Number(r.n)), [0, 1, 2])
  assert.strictEqual(result.response_headers['x-clickhouse-format'], 'JSON')
})

test('select, rows streamed', async () => {
  const result = await client.query({ query: 'SELECT number FROM numbers(1000000)', format: 'JSONCompactEachRow' })
  let next = 0
  for await (const batch of result.stream()) {
    for (const row of batch) {
      assert.strictEqual(Number(row.json()[0]), next)
      next++
    }
  }
  assert.strictEqual(next, 1000000)
})

test('parameters', async () => {
  const query = `SELECT {s: String} AS s, {n: Int64} + 1 AS n, {a: Array(String)} AS a, {d: DateTime} AS d, {m: Map(String, UInt8)} AS m, {z: Nullable(String)} AS z`
  const query_params = { s: "it's \\ \t ü", n: 41, a: ['x', "y'"], d: new Date(0), m: { k: 7 }, z: null }
  const [row] = await rows(query, 'JSONEachRow', { query_params })
  assert.strictEqual(row.s, query_params.s)
  assert.strictEqual(Number(row.n), 42)
  assert.deepStrictEqual(row.a, query_params.a)
  assert.strictEqual(row.d, '1970-01-01 00:00:00')
  assert.deepStrictEqual(row.m, { k: 7 })
  assert.strictEqual(row.z, null)
})

test('long parameters, as a multipart body', async () => {
  const ids = Array.from({ length: 20000 }, (_, i) => i)
  const more = { query_params: { ids }, use_multipart_params: true }
  const [row] = await rows('SELECT length({ids: Array(UInt32)}) AS n', 'JSONEachRow', more)
  assert.strictEqual(Number(row.n), 20000)
})

test('settings and sessions', async () => {
  const [row] = await rows("SELECT getSetting('max_threads') AS t", 'JSONEachRow', { clickhouse_settings: { max_threads: 3 } })
  assert.strictEqual(Number(row.t), 3)
  const session = createClient({ ...options, session_id: `node-${process.pid}`, max_open_connections: 1 })
  await session.command({ query: 'CREATE TEMPORARY TABLE tt (a UInt8)' })
  await session.insert({ table: 'tt', values: [{ a: 5 }], format: 'JSONEachRow' })
  const result = await session.query({ query: 'SELECT a FROM tt', format: 'JSONEachRow' })
  assert.deepStrictEqual(await result.json(), [{ a: 5 }])
  await session.close()
})

test('errors', async () => {
  await assert.rejects(client.query({ query: 'SELECT nothing' }), (e) => {
    assert.ok(e instanceof ClickHouseError)
    assert.strictEqual(e.code, '47')
    assert.strictEqual(e.type, 'UNKNOWN_IDENTIFIER')
    return true
  })
  await assert.rejects(client.query({ query: 'SELEC' }), { code: '62' })
  await assert.rejects(client.insert({ table: 'nowhere', values: [{ a: 1 }], format: 'JSONEachRow' }), {
    code: '60',
    type: 'UNKNOWN_TABLE',
  })
  await assert.rejects(client.insert({ table, values: [{ id: 'x' }], format: 'JSONEachRow' }), { code: '27' })
  const wrong = createClient({ ...options, password: 'wrong' })
  await assert.rejects(wrong.query({ query: 'SELECT 1' }), { code: '516', type: 'AUTHENTICATION_FAILED' })
  await wrong.close()
})

const LATE_ERROR = 'SELECT number, throwIf(number = 2000000) AS t FROM numbers(4000000)'

test('an error behind rows already sent', async () => {
  const result = await client.query({ query: LATE_ERROR, format: 'JSONEachRow' })
  let seen = 0
  await assert.rejects(async () => {
    for await (const batch of result.stream()) seen += batch.length
  }, (e) => {
    /* The client reads the exception from one piece of the body, and says so when the network cut it in two. */
    if (!(e instanceof ClickHouseError)) assert.match(String(e), /there was an error in the stream/)
    else assert.strictEqual(e.code, '395')
    return true
  })
  assert.ok(seen > 0)
})

test('the exception behind rows is whole at the end of the body', async () => {
  const answer = await fetch(`${options.url}/?default_format=JSONEachRow&http_write_exception_in_output_format=0`, {
    method: 'POST',
    body: LATE_ERROR,
    headers: { 'X-ClickHouse-User': options.username, 'X-ClickHouse-Key': options.password },
  })
  const tag = answer.headers.get('x-clickhouse-exception-tag')
  const body = []
  try {
    for await (const piece of answer.body) body.push(piece)
  } catch (e) {
    assert.match(String(e), /terminated/) /* the server ends such an answer without its last chunk */
  }
  const [head, message, rest] = Buffer.concat(body).toString().split(`__exception__\r\n`).slice(-3)
  assert.ok(head.endsWith('\r\n'), 'the block starts on a line of its own')
  assert.strictEqual(rest, '', 'nothing follows the block')
  const inside = message.match(/^(\w+)\r\n([^]*\n)(\d+) (\w+)\r\n$/)
  assert.ok(inside, message)
  assert.deepStrictEqual([inside[1], inside[4]], [tag, tag])
  assert.strictEqual(Number(inside[3]), Buffer.byteLength(inside[2]))
  assert.match(inside[2], /^Code: 395\. /)
})

test('abort a query', async () => {
  const controller = new AbortController()
  const started = client.query({ query: `${SLOW} AND 'abort-mark' != ''`, abort_signal: controller.signal })
  for (let i = 0; i < 100 && (await running('abort-mark')) === 0; i++) await sleep(100)
  assert.strictEqual(await running('abort-mark'), 1)
  controller.abort()
  await assert.rejects(started)
  for (let i = 0; i < 50 && (await running('abort-mark')) > 0; i++) await sleep(100)
  assert.strictEqual(await running('abort-mark'), 0)
})

test('close a stream of rows', async () => {
  const query = "SELECT number FROM numbers(1000000000000) WHERE 'stream-mark' != ''"
  const result = await client.query({ query, format: 'JSONEachRow' })
  for await (const batch of result.stream()) {
    assert.ok(batch.length)
    break
  }
  result.close()
  for (let i = 0; i < 50 && (await running('stream-mark')) > 0; i++) await sleep(100)
  assert.strictEqual(await running('stream-mark'), 0)
})

test('abort an insert: nothing of it stays', async () => {
  const before = await count()
  const controller = new AbortController()
  async function* endless() {
    for (let id = 1; ; id++) {
      yield { id, name: 'aborted' }
      if (id % 20000 === 0) await sleep(50)
    }
  }
  const values = Readable.from(endless(), { objectMode: true })
  const insert = client.insert({ table, values, format: 'JSONEachRow', abort_signal: controller.signal })
  await sleep(700)
  controller.abort()
  await assert.rejects(insert)
  values.destroy()
  for (let i = 0; i < 50 && (await running(`INSERT INTO ${table}`)) > 0; i++) await sleep(100)
  assert.strictEqual(await count(), before)
})

test('exec and command', async () => {
  const { stream } = await client.exec({ query: 'SELECT 1 FORMAT CSV' })
  let text = ''
  for await (const piece of stream) text += piece
  assert.strictEqual(text, '1\n')
  const { query_id } = await client.command({ query: `OPTIMIZE TABLE ${table} FINAL`, query_id: 'node-optimize' })
  assert.strictEqual(query_id, 'node-optimize')
})

test('many at once over few connections', async () => {
  const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => rows(`SELECT ${i} AS i`)))
  answers.forEach(([row], i) => assert.strictEqual(row.i, i))
})
