--TEST--
A large answer takes PHP's memory for what is made of it, within memory_limit, and little else
--EXTENSIONS--
gateway
--SKIPIF--
<?php
if (!is_readable('/proc/self/status')) die('skip there is no /proc');
?>
--FILE--
<?php
require 'gateway.inc';
use GatewayTest\Php;
use GatewayTest\Process;
use function GatewayTest\read_until;

/** Asks a gateway that answers with so many of these, in a process with so much memory. */
function ask(string $limit, string $item, int $count, string $code): void
{
    $command = [PHP_BINARY, '-n', __DIR__ . '/answers.inc', bin2hex($item), (string) $count];
    $gateway = new Process($command, [['pipe', 'r'], ['pipe', 'w'], ['file', '/dev/null', 'w']]);
    [, $address] = read_until($gateway->pipes[1], '/^listening (\S+)/', 'gateway');
    $output = Php::run($code . '
        preg_match("/^VmHWM:\s+(\d+) kB/m", file_get_contents("/proc/self/status"), $peak);
        echo "at most ", $peak[1] >> 10 < 400 ? "400 MB" : "$peak[1] kB", "\n";
    ', ['gateway.register_address' => $address, 'gateway.connect_timeout' => 60, 'memory_limit' => $limit]);
    // A table that grows may pass the limit in one step, and then PHP itself reports it.
    echo preg_replace(
        ['/tcp:\S+/', '/.*Allowed memory size of .*\n/', '/ in Command line.*/', '/more than the \d+ for/'],
        ['tcp:…', "it takes more memory than memory_limit\n", '', 'more than the N for'],
        ltrim($output)
    );
}
$list = 'try { echo count(Gateway::getAllUidList()), "\n"; } catch (GatewayException $e) { echo $e->getMessage(), "\n"; } ';

echo "-- more bytes than memory_limit allows\n";
ask('64M', "\xc0", 100 << 20, $list);
echo "-- many values that are not what they should be; as a tree they would take gigabytes\n";
ask('-1', "\xc0", 100 << 20, $list);
ask('-1', "\x91\xc0", 50 << 20, $list);
echo "-- what would take more as values than memory_limit allows\n";
// In PHP 8.1 the table takes twice as much, and in debug builds the values. It grows by doubling, which must not exceed the limit at once.
$limit = PHP_VERSION_ID < 80200 || PHP_DEBUG ? '80M' : '64M';
ask($limit, "\xc4\x0a0123456789", 2 << 20, str_replace('getAllUidList()', 'getClientIdByUid("x")', $list));
echo "-- and what it does allow\n";
ask('128M', "\xc4\x0a0123456789", 500000, 'echo count(Gateway::getClientIdByUid("x")), "\n";');
?>
--EXPECTF--
-- more bytes than memory_limit allows
the answer of the gateway at tcp:… has 104857608 bytes, more than the N for which there is memory (memory_limit); ask for less at once, or count
at most 400 MB
-- many values that are not what they should be; as a tree they would take gigabytes
the gateway answered with null in place of a string: extension and server must be of one release
at most 400 MB
the gateway answered with a list in place of a string: extension and server must be of one release
at most 400 MB
-- what would take more as values than memory_limit allows
the gateway's answer takes more memory than the %d bytes of memory_limit; ask for less at once, or count
at most 400 MB
-- and what it does allow
500000
at most 400 MB
