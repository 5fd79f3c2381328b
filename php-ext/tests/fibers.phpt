--TEST--
Calls within fibers: interleaved they keep their order, and each query gets its own answer
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--FILE--
<?php
require 'gateway.inc';
use function GatewayTest\thrown;

$server = new GatewayTest\Server('', '127.0.0.1:0', '--outbox-bytes', '100000000');
Gateway::$registerAddress = $server->register;
$client = $server->connect();
const FIBERS = 200;
const CALLS = 50;

echo "-- many, suspended between their calls\n";
$sent = [];
$fibers = [];
for ($number = 0; $number < FIBERS; $number++) {
    $fibers[$number] = new Fiber(function () use ($number, $client, &$sent) {
        Gateway::joinGroup($client->id, "group $number");
        for ($i = 0; $i < CALLS; $i++) {
            Fiber::suspend();
            Gateway::sendToGroup("group $number", $sent[] = "$number $i");
            if ($i % 10 === 9) {
                Fiber::suspend();
                if (Gateway::getClientIdCountByGroup("group $number") !== 1 || Gateway::isOnline($client->id) !== 1) {
                    echo "fiber $number got another's answer\n";
                }
            }
        }
        Gateway::leaveGroup($client->id, "group $number");
        return Gateway::getClientIdCountByGroup("group $number");
    });
    $fibers[$number]->start();
}
mt_srand(1);
while ($fibers) {
    $number = array_rand($fibers);
    $fibers[$number]->resume();
    if ($fibers[$number]->isTerminated()) {
        if ($fibers[$number]->getReturn() !== 0) {
            echo "fiber $number is still in its group\n";
        }
        unset($fibers[$number]);
    }
}
var_dump(count($sent) === FIBERS * CALLS, $client->receiveMany(FIBERS * CALLS) === $sent);

echo "-- suspended within a call, while its arguments are read\n";
/** Text that another fiber's calls come before. */
class Late
{
    public function __construct(private string $text)
    {
    }

    public function __toString(): string
    {
        Fiber::suspend();
        return $this->text;
    }
}
$fiber = new Fiber(function () use ($client) {
    Gateway::bindUid($client->id, new Late('late'));
    Gateway::sendToUid(['early', new Late('late')], new Late('last'));
    return Gateway::batchGetClientIdByUid([new Late('late')]);
});
$fiber->start();
Gateway::bindUid($client->id, 'early');
Gateway::sendToUid('early', 'first');
$fiber->resume();
while (!$fiber->isTerminated()) {
    Gateway::sendToAll('between');
    $fiber->resume();
}
var_dump($fiber->getReturn() === ['late' => [$client->id]]);
var_dump($client->receiveMany(5));

echo "-- suspended by an error handler within a call\n";
set_error_handler(function (int $level, string $message) {
    Fiber::suspend($message);
    return true;
});
$fiber = new Fiber(function () {
    Gateway::bindUid(str_repeat('0', 20), '');
    Gateway::sendToAll('after the warning');
});
echo $fiber->start(), "\n";
Gateway::sendToAll('during the warning');
$fiber->resume();
restore_error_handler();
var_dump($client->receiveMany(2));

echo "-- exceptions within fibers, and fibers that never end\n";
echo thrown(fn () => (new Fiber(fn () => Gateway::isOnline('bad')))->start()), "\n";
$fiber = new Fiber(function () use ($client) {
    try {
        Gateway::sendToAll('before');
        Fiber::suspend();
    } finally {
        Gateway::sendToAll('the fiber is destroyed, and ' . (Gateway::isOnline($client->id) ? 'online' : 'offline'));
    }
});
$fiber->start();
unset($fiber);
var_dump($client->receiveMany(2));
$fiber = new Fiber(function () {
    try {
        Gateway::sendToAll(new Late('never sent'));
    } finally {
        Gateway::sendToAll('the call is destroyed');
    }
});
$fiber->start();
unset($fiber);
var_dump($client->receive());

echo "-- deep in the stack of one fiber, on the address of another gateway\n";
$other = new GatewayTest\Server;
$deep = function (int $depth) use (&$deep, $other) {
    if ($depth > 0) {
        return $deep($depth - 1);
    }
    $before = Gateway::$registerAddress;
    Gateway::$registerAddress = $other->register;
    $there = Gateway::getAllClientIdCount();
    Fiber::suspend();
    Gateway::$registerAddress = $before;
    return [$there, Gateway::getAllClientIdCount()];
};
$fiber = new Fiber(fn () => $deep(500));
$fiber->start();
var_dump(Gateway::getAllClientIdCount());
$fiber->resume();
var_dump($fiber->getReturn());
?>
--EXPECT--
-- many, suspended between their calls
bool(true)
bool(true)
-- suspended within a call, while its arguments are read
bool(true)
array(5) {
  [0]=>
  string(5) "first"
  [1]=>
  string(7) "between"
  [2]=>
  string(7) "between"
  [3]=>
  string(4) "last"
  [4]=>
  string(7) "between"
}
-- suspended by an error handler within a call
PushGateway\Gateway::bindUid(): the uid is empty, so nothing was bound; give a uid that is not '', '0', 0, null, false or []
array(2) {
  [0]=>
  string(18) "during the warning"
  [1]=>
  string(17) "after the warning"
}
-- exceptions within fibers, and fibers that never end
PushGateway\ArgumentException: client_id "bad" is invalid: it must be 20 hexadecimal digits
array(2) {
  [0]=>
  string(6) "before"
  [1]=>
  string(34) "the fiber is destroyed, and online"
}
string(21) "the call is destroyed"
-- deep in the stack of one fiber, on the address of another gateway
int(0)
array(2) {
  [0]=>
  int(0)
  [1]=>
  int(1)
}
