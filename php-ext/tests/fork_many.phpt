--TEST--
Four hundred forks under load and over lost connections: no child is stuck
--EXTENSIONS--
gateway
pcntl
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--FILE--
<?php
require 'gateway.inc';
use const GatewayTest\PATIENCE;
use function GatewayTest\{eventually, thrown};

const FORKS = 400;
const AT_ONCE = 8;

$server = new GatewayTest\Server('', '127.0.0.1:0', '--outbox-bytes', '100000000', '--ping-interval', '0');
$proxy = new GatewayTest\Proxy($server->register);
Gateway::$registerAddress = $proxy->address;
$client = $server->connect();

/** Sends, again while the link is down. */
function insist(string $message): void
{
    eventually('sent', fn () => thrown(fn () => Gateway::sendToAll($message)) === 'nothing was thrown');
}

/** Waits for a child's end, which its end of `$pipe` tells of. */
function end_of(int $pid, $pipe): void
{
    [$read, $none] = [[$pipe], null];
    if (!stream_select($read, $none, $none, PATIENCE)) {
        GatewayTest\fail("child $pid is stuck");
    }
    pcntl_waitpid($pid, $status);
    if ($status !== 0) {
        echo "a child ended with $status\n";
    }
}

$children = [];
$sent = 0;
for ($fork = 0; $fork < FORKS; $fork++) {
    if ($fork % 50 === 25) {
        // The next children are made while the I/O thread connects again.
        $proxy->tell('cut');
    }
    for ($i = 0; $i < 20; $i++) {
        insist('parent ' . $sent++);
    }
    [$ours, $theirs] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
    $pid = pcntl_fork();
    if ($pid === 0) {
        // The child makes its first call, on a link of its own; others fork or end without one.
        if ($fork % 3 !== 2) {
            insist("child$fork 0");
            eventually('online', fn () => thrown(fn () => Gateway::isOnline($client->id)) === 'nothing was thrown');
            insist("child$fork 1");
        }
        if ($fork % 3 === 1 && pcntl_fork() === 0) {
            insist("grandchild$fork 0");
        }
        exit(0);
    }
    // From here on the other end is held by the child and its children alone.
    fclose($theirs);
    $children[$pid] = $ours;
    if (count($children) === AT_ONCE) {
        $oldest = array_key_first($children);
        end_of($oldest, $children[$oldest]);
        unset($children[$oldest]);
    }
}
foreach ($children as $pid => $pipe) {
    end_of($pid, $pipe);
}

$senders = ['parent' => $sent];
for ($fork = 0; $fork < FORKS; $fork++) {
    if ($fork % 3 !== 2) {
        $senders["child$fork"] = 2;
    }
    if ($fork % 3 === 1) {
        $senders["grandchild$fork"] = 1;
    }
}
$next = array_fill_keys(array_keys($senders), 0);
foreach ($client->receiveMany(array_sum($senders)) as $message) {
    [$who, $number] = explode(' ', $message);
    if ($next[$who]++ !== (int) $number) {
        echo "out of turn: $message\n";
    }
}
var_dump($next === $senders);
insist('nothing came twice');
var_dump($client->receive());
?>
--EXPECT--
bool(true)
string(18) "nothing came twice"
