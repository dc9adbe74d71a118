# What a Ruby program does with mysql2. Arguments and order of events: see clients_test.go.
require 'mysql2'

HOST, PORT, USER, PASSWORD, DATABASE, LEG, FILE = ARGV

def check(holds, what) = holds || abort(what)

def connect
  Mysql2::Client.new(host: HOST, port: PORT.to_i, username: USER, password: PASSWORD, database: DATABASE, encoding: 'utf8mb4',
                     local_infile: true, flags: Mysql2::Client::MULTI_STATEMENTS,
                     **(LEG == 'tls' ? { sslcipher: 'DEFAULT' } : {})) # Debian's library knows no ssl_mode
end

def refused(number)
  yield
rescue Mysql2::Error => e
  check(e.error_number == number, "error #{e.error_number}, want #{number}: #{e.message}")
else
  abort("no error, want #{number}")
end

c = connect
cipher = c.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'").first['Value']
check((cipher != '') == (LEG == 'tls'), "cipher '#{cipher}'")

insert = c.prepare('INSERT INTO notes (body, n) VALUES (?, ?)')
insert.execute('prepared 🐬', 1)
c.query('START TRANSACTION')
c.query("INSERT INTO notes (body, n) VALUES ('rolled back', 2)")
c.query('ROLLBACK')
c.query('START TRANSACTION')
insert.execute('committed', 3)
c.query('COMMIT')
insert.close
refused(1146) { c.query('SELECT * FROM nosuch') }

blob = ('0123456789' * 2_000_000).b
c.prepare('INSERT INTO blobs (body) VALUES (?)').execute(blob)
check(c.query('SELECT body FROM blobs').first['body'] == blob, 'the blob came back changed')

values = [c.query('SELECT 1 AS a; DO 1; SELECT 2 AS a').first['a']]
while c.next_result
  result = c.store_result
  values << result.first['a'] if result
end
check(values == [1, 2], "multi-statement: #{values}")

c.query("LOAD DATA LOCAL INFILE '#{c.escape(FILE)}' INTO TABLE numbers")
sum = c.query('SELECT n FROM numbers', stream: true, cache_rows: false).sum { |row| row['n'] }
check(sum == 500_500, "the numbers' sum is #{sum}")

other = connect
other.query("DO GET_LOCK('ruby', 0)")
waiting = Thread.new { refused(1317) { c.query("SELECT GET_LOCK('ruby', 60)") } }
nil until other.query("SELECT 1 FROM performance_schema.processlist WHERE id = #{c.thread_id} AND state = 'User lock'").count.positive?
other.query("KILL QUERY #{c.thread_id}")
waiting.join
other.close

c.query("SET @sluice_mode = 'online'")
c.query('ALTER TABLE notes MODIFY n BIGINT NOT NULL')
check(c.affected_rows == 2, "#{c.affected_rows} rows affected")
c.close

bodies = connect.query('SELECT body FROM notes ORDER BY id').map { |row| row['body'] }
check(bodies == ['prepared 🐬', 'committed'], bodies.inspect)
