"""What a program does with PyMySQL. Arguments and order of events: see clients_test.go."""
import ssl
import sys
import threading

import pymysql
from pymysql.constants import CLIENT

host, port, user, password, database, leg, file = sys.argv[1:]
unverified = ssl.create_default_context()
unverified.check_hostname = False
unverified.verify_mode = ssl.CERT_NONE


def connect():
    return pymysql.connect(host=host, port=int(port), user=user, password=password, database=database, charset="utf8mb4",
                           ssl=unverified if leg == "tls" else None, ssl_disabled=leg != "tls",
                           local_infile=True, client_flag=CLIENT.MULTI_STATEMENTS)


def refused(cursor, sql, number):
    try:
        cursor.execute(sql)
    except pymysql.err.MySQLError as e:
        assert e.args[0] == number, e
    else:
        raise AssertionError("no error: " + sql)


connection = connect()
c = connection.cursor()
c.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
assert bool(c.fetchone()[1]) == (leg == "tls")

# PyMySQL has no prepared statements of its own: the server's, then.
c.execute("PREPARE s FROM 'INSERT INTO notes (body, n) VALUES (?, ?)'")
c.execute("SET @b = %s, @n = %s", ("prepared 🐬", 1))
c.execute("EXECUTE s USING @b, @n")
connection.commit()
c.execute("INSERT INTO notes (body, n) VALUES ('rolled back', 2)")
connection.rollback()
c.execute("INSERT INTO notes (body, n) VALUES (%s, %s)", ("committed", 3))
connection.commit()
refused(c, "SELECT * FROM nosuch", 1146)

blob = b"0123456789" * 2_000_000
c.execute("INSERT INTO blobs (body) VALUES (_binary %s)", (blob,))
connection.commit()
c.execute("SELECT body FROM blobs")
assert c.fetchone()[0] == blob

c.execute("SELECT 1; DO 1; SELECT 2")
results = [c.fetchall()]
while c.nextset():
    results.append(c.fetchall())
assert results == [((1,),), (), ((2,),)], results

c.execute("LOAD DATA LOCAL INFILE %s INTO TABLE numbers", (file,))
connection.commit()
with connection.cursor(pymysql.cursors.SSCursor) as stream:
    stream.execute("SELECT n FROM numbers")
    assert sum(row[0] for row in stream) == 500500

other = connect()
o = other.cursor()
o.execute("DO GET_LOCK('python', 0)")
waiting = threading.Thread(target=refused, args=(c, "SELECT GET_LOCK('python', 60)", 1317))
waiting.start()
while not o.execute("SELECT 1 FROM performance_schema.processlist WHERE id = %s AND state = 'User lock'", (connection.thread_id(),)):
    pass
o.execute("KILL QUERY %d" % connection.thread_id())
waiting.join()
other.close()

c.execute("SET @sluice_mode = 'online'")
assert c.execute("ALTER TABLE notes MODIFY n BIGINT NOT NULL") == 2
connection.close()

connection = connect()
c = connection.cursor()
c.execute("SELECT body FROM notes ORDER BY id")
assert [row[0] for row in c.fetchall()] == ["prepared 🐬", "committed"]
connection.close()
