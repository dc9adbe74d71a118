// What an ordinary node program does. Arguments: host port user password database tls|plain.
import assert from 'node:assert/strict'
import mysql from 'mysql2/promise'

const [host, port, user, password, database, leg] = process.argv.slice(2)
const connect = () => mysql.createConnection({
  host, port: Number(port), user, password, database, charset: 'utf8mb4',
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
await connection.query("SET @sluice_mode = 'online'")
const [altered] = await connection.query('ALTER TABLE notes MODIFY n BIGINT NOT NULL')
assert.equal(altered.affectedRows, 2)
await connection.end()

connection = await connect()
const [rows] = await connection.execute('SELECT body FROM notes ORDER BY id')
assert.deepEqual(rows.map((r) => r.body), ['prepared 🐬', 'committed'])
await connection.end()
