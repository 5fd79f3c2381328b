--TEST--
Forks under load: parent, children and grandchildren all send, and everything arrives once
--EXTENSIONS--
gateway
pcntl
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--INI--
; Connections are counted: a gateway that is slow to answer would get a second one, in case it is GatewayWorker's register.
gateway.protocol=bridge
--FILE--
<?php
require 'gateway.inc';

$server = new GatewayTest\Server;
$proxy = new GatewayTest\Proxy($server->register);
Gateway::$registerAddress = $proxy->address;
$client = $server->connect();

function say(string $who, int $count): void
{
    for ($i = 0; $i < $count; $i++) {
        Gateway::sendToAll("$who $i");
    }
}

say('parent before', 500);
$children = [];
for ($child = 0; $child < 20; $child++) {
    // The parent's link is busy while it forks.
    say("parent $child", 200);
    $pid = pcntl_fork();
    if ($pid === 0) {
        say("child $child", 100);
        if (Gateway::isOnline($client->id) !== 1) {
            exit(3);
        }
        if ($child % 4 === 0 && pcntl_fork() === 0) {
            say("grandchild $child", 100);
            exit(0);
        }
        while (pcntl_wait($status) > 0) {
            if ($status !== 0) {
                exit(4);
            }
        }
        exit(0);
    }
    $children[] = $pid;
}
say('parent after', 500);
foreach ($children as $pid) {
    pcntl_waitpid($pid, $status);
    if ($status !== 0) {
        echo "a child ended with $status\n";
    }
}
var_dump(Gateway::isOnline($client->id));

$senders = ['parent before' => 500, 'parent after' => 500];
for ($i = 0; $i < 20; $i++) {
    $senders["parent $i"] = 200;
    $senders["child $i"] = 100;
    if ($i % 4 === 0) {
        $senders["grandchild $i"] = 100;
    }
}
$next = array_fill_keys(array_keys($senders), 0);
foreach ($client->receiveMany(array_sum($senders)) as $message) {
    preg_match('/^(.*) (\d+)$/', $message, $parts);
    if ($next[$parts[1]]++ !== (int) $parts[2]) {
        echo "out of turn: $message\n";
    }
}
var_dump($next === $senders);
Gateway::sendToAll('nothing came twice');
var_dump($client->receive());
// There is one connection for each process: no child has ended its parent's.
echo 'connections: ', $proxy->tell('count'), "\n";

echo "-- a child keeps none of its parent's descriptors\n";
echo GatewayTest\Php::run('
    $open = fn () => count(glob("/proc/self/fd/*"));
    $before = $open();
    Gateway::sendToAll("parent");
    $more = $open() - $before;
    if (pcntl_fork() === 0) {
        echo $more > 0 && $open() === $before ? "none" : "$before, $more more, " . $open() . " in the child", PHP_EOL;
        exit;
    }
    pcntl_wait($status);
', ['gateway.register_address' => $server->register]);
var_dump($client->receive());

echo "-- a parent that ends while its child lives\n";
$output = GatewayTest\Php::run('
    Gateway::sendToAll("parent");
    [$end, $other] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
    if (pcntl_fork() === 0) {
        fclose($other);
        // The child waits until the parent is gone.
        fread($end, 1);
        Gateway::sendToAll("orphan");
    }
', ['gateway.register_address' => $server->register]);
echo $output;
var_dump($client->receiveMany(2));
?>
--EXPECT--
int(1)
bool(true)
string(18) "nothing came twice"
connections: 26
-- a child keeps none of its parent's descriptors
none
string(6) "parent"
-- a parent that ends while its child lives
array(2) {
  [0]=>
  string(6) "parent"
  [1]=>
  string(6) "orphan"
}
