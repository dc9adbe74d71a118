# What a Perl program does with DBD::MariaDB. Arguments and order of events: see clients_test.go.
use strict;
use warnings;
use utf8;
use DBI;

my ($host, $port, $user, $password, $database, $leg, $file) = @ARGV;

sub check { my ($holds, $what) = @_; die "$what\n" unless $holds }

sub connect_ {
    my $tls = $leg eq 'tls' ? 'mariadb_ssl=1;mariadb_ssl_optional=1' : 'mariadb_ssl=0';
    return DBI->connect("DBI:MariaDB:database=$database;host=$host;port=$port;mariadb_local_infile=1;mariadb_multi_statements=1;$tls",
        $user, $password, { RaiseError => 1, PrintError => 0, mariadb_max_allowed_packet => 64 << 20 });
}

sub refused {
    my ($call, $number) = @_;
    check(!eval { $call->(); 1 }, "no error, want $number");
    check($DBI::err == $number, "error $DBI::err, want $number: $DBI::errstr");
}

my $c = connect_();
my $cipher = ($c->selectrow_array("SHOW SESSION STATUS LIKE 'Ssl_cipher'"))[1];
check(($cipher ne '') == ($leg eq 'tls'), "cipher '$cipher'");

my $insert = $c->prepare('INSERT INTO notes (body, n) VALUES (?, ?)', { mariadb_server_prepare => 1 });
$insert->execute('prepared 🐬', 1);
$c->begin_work;
$c->do("INSERT INTO notes (body, n) VALUES ('rolled back', 2)");
$c->rollback;
$c->begin_work;
$insert->execute('committed', 3);
$c->commit;
$insert->finish;
refused(sub { $c->do('SELECT * FROM nosuch') }, 1146);

my $blob = '0123456789' x 2_000_000;
my $long = $c->prepare('INSERT INTO blobs (body) VALUES (?)', { mariadb_server_prepare => 1 });
$long->bind_param(1, $blob, DBI::SQL_BLOB);
$long->execute;
check(($c->selectrow_array('SELECT body FROM blobs'))[0] eq $blob, 'the blob came back changed');

my $several = $c->prepare('SELECT 1; DO 1; SELECT 2');
$several->execute;
my @values;
do { push @values, $several->fetchrow_array if $several->{NUM_OF_FIELDS} } while ($several->more_results);
check("@values" eq '1 2', "multi-statement: @values");

$c->do('LOAD DATA LOCAL INFILE ' . $c->quote($file) . ' INTO TABLE numbers');
my $stream = $c->prepare('SELECT n FROM numbers', { mariadb_server_prepare => 1 });
$stream->execute;
my $sum = 0;
while (my ($n) = $stream->fetchrow_array) { $sum += $n }
check($sum == 500500, "the numbers' sum is $sum");

my $other = connect_();
my $id = $c->{mariadb_thread_id};
$other->do("DO GET_LOCK('perl', 0)");
my $waiting = $c->prepare("SELECT GET_LOCK('perl', 60)", { mariadb_async => 1 });
$waiting->execute;
1 until $other->selectrow_array("SELECT 1 FROM performance_schema.processlist WHERE id = $id AND state = 'User lock'");
$other->do("KILL QUERY $id");
refused(sub { $waiting->mariadb_async_result; $waiting->fetchrow_array or die $DBI::errstr }, 1317);
$other->disconnect;

$c->do("SET \@sluice_mode = 'online'");
my $affected = $c->do('ALTER TABLE notes MODIFY n BIGINT NOT NULL');
check($affected == 2, "$affected rows affected");
$c->disconnect;

$c = connect_();
my $rows = join '; ', map { $_->[0] } @{ $c->selectall_arrayref('SELECT body FROM notes ORDER BY id') };
check($rows eq 'prepared 🐬; committed', 'the second connection reads something else');
$c->disconnect;
