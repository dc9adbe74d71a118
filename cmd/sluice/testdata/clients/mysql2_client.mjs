// What a node program does with mysql2. Arguments and order of events: see clients_test.go.
import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import mysql from 'mysql2/promise'

const [host, port, user, password, database, leg, file] = process.argv.slice(2)
const connect = () => mysql.createConnection({
  host, port: Number(port), user, password, database, charset: 'utf8mb4', multipleStatements: true,
  ssl: leg === 'tls' ? { rejectUnauthorized: false } : undefined,
})

let connection = await connect()
const [[status]] = await connection.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
assert.equal(status.Value !== '', leg === 'tls')

await connection.execute('INSERT INTO notes (body, n) VALUES (?, ?)', ['prepared 🐬', 1])
await connection.beginTransaction()
await connection.query("INSERT INTO notes (body, n) VALUES ('rolled back', 2)")
await connection.rollback()
await connection.beginTransaction()
await connection.execute('INSERT INTO notes (body, n) VALUES (?, ?)', ['committed', 3])
await connection.commit()
await assert.rejects(connection.query('SELECT * FROM nosuch'), { errno: 1146, sqlState: '42S02' })

const blob = Buffer.alloc(20_000_000, '0123456789')
await connection.execute('INSERT INTO blobs (body) VALUES (?)', [blob])
const [[read]] = await connection.query('SELECT body FROM blobs')
assert.ok(blob.equals(read.body))

const [results] = await connection.query('SELECT 1 AS a; DO 1; SELECT 2 AS a')
assert.deepEqual([results[0][0].a, results[2][0].a], [1, 2])

await connection.query({ sql: "LOAD DATA LOCAL INFILE 'numbers' INTO TABLE numbers", infileStreamFactory: () => createReadStream(file) })
let sum = 0
await new Promise((resolve, reject) => connection.connection.query('SELECT n FROM numbers')
  .on('result', (row) => { sum += row.n }).on('end', resolve).on('error', reject))
assert.equal(sum, 500500)

const other = await connect()
await other.query("DO GET_LOCK('node', 0)")
const stopped = assert.rejects(connection.query("SELECT GET_LOCK('node', 60)"), { errno: 1317 })
for (let waits = false; !waits;) {
  const [rows] = await other.query("SELECT 1 FROM performance_schema.processlist WHERE id = ? AND state = 'User lock'", [connection.threadId])
  waits = rows.length > 0
}
await other.query('KILL QUERY ' + connection.threadId)
await stopped
await other.end()

await connection.query("SET @sluice_mode = 'online'")
const [altered] = await connection.query('ALTER TABLE notes MODIFY n BIGINT NOT NULL')
assert.equal(altered.affectedRows, 2)
await connection.end()

connection = await connect()
const [rows] = await connection.execute('SELECT body FROM notes ORDER BY id')
assert.deepEqual(rows.map((r) => r.body), ['prepared 🐬', 'committed'])
await connection.end()
