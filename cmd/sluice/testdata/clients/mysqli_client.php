<?php
// What a PHP program does with mysqli. Arguments and order of events: see clients_test.go.
declare(strict_types=1);
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
[, $host, $port, $user, $password, $database, $leg, $file] = $argv;

function check(bool $holds, string $what): void
{
    if (!$holds) {
        fwrite(STDERR, "$what\n");
        exit(1);
    }
}

function refused(callable $call, int $number): void
{
    try {
        $call();
    } catch (mysqli_sql_exception $e) {
        check($e->getCode() === $number, "error {$e->getCode()}, want $number: {$e->getMessage()}");
        return;
    }
    check(false, "no error, want $number");
}

function connect(): mysqli
{
    global $host, $port, $user, $password, $database, $leg;
    $c = mysqli_init();
    $c->options(MYSQLI_OPT_LOCAL_INFILE, 1);
    $flags = $leg === 'tls' ? MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT : 0;
    $c->real_connect($host, $user, $password, $database, (int)$port, null, $flags);
    $c->set_charset('utf8mb4');
    return $c;
}

$c = connect();
$cipher = $c->query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")->fetch_row()[1];
check(($cipher !== '') === ($leg === 'tls'), "cipher '$cipher'");

$insert = $c->prepare('INSERT INTO notes (body, n) VALUES (?, ?)');
$insert->execute(['prepared 🐬', 1]);
$c->begin_transaction();
$c->query("INSERT INTO notes (body, n) VALUES ('rolled back', 2)");
$c->rollback();
$c->begin_transaction();
$insert->execute(['committed', 3]);
$c->commit();
refused(fn() => $c->query('SELECT * FROM nosuch'), 1146);

$blob = str_repeat('0123456789', 2_000_000);
$long = $c->prepare('INSERT INTO blobs (body) VALUES (?)');
$null = null;
$long->bind_param('b', $null);
foreach (str_split($blob, 1_000_000) as $piece) { // COM_STMT_SEND_LONG_DATA
    $long->send_long_data(0, $piece);
}
$long->execute();
check($c->query('SELECT body FROM blobs')->fetch_row()[0] === $blob, 'the blob came back changed');

$c->multi_query('SELECT 1; DO 1; SELECT 2');
$values = [];
do {
    if ($result = $c->store_result()) {
        $values[] = $result->fetch_row()[0];
    }
} while ($c->more_results() && $c->next_result());
check($values == [1, 2], 'multi-statement: ' . json_encode($values));

$c->query("LOAD DATA LOCAL INFILE '" . $c->real_escape_string($file) . "' INTO TABLE numbers");
$cursor = $c->prepare('SELECT n FROM numbers');
$cursor->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY); // COM_STMT_FETCH
$cursor->execute();
$cursor->bind_result($n);
for ($sum = 0; $cursor->fetch(); $sum += $n);
check($sum === 500500, "the numbers' sum is $sum");
$cursor->close();

$other = connect();
$other->query("DO GET_LOCK('php', 0)");
$c->query("SELECT GET_LOCK('php', 60)", MYSQLI_ASYNC);
while (!$other->query("SELECT 1 FROM performance_schema.processlist WHERE id = {$c->thread_id} AND state = 'User lock'")->num_rows);
$other->query("KILL QUERY {$c->thread_id}");
refused(fn() => $c->reap_async_query()->fetch_row(), 1317);
$other->close();

$c->query("SET @sluice_mode = 'online'");
$c->query('ALTER TABLE notes MODIFY n BIGINT NOT NULL');
check($c->affected_rows === 2, "$c->affected_rows rows affected");
$c->close();

$rows = connect()->query('SELECT body FROM notes ORDER BY id')->fetch_all();
check($rows === [['prepared 🐬'], ['committed']], json_encode($rows));
