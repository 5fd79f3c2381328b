--TEST--
Gateway::later() asks now, and the future gives later what the method gives
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

$server = new GatewayTest\Server;
Gateway::$registerAddress = $server->register;
$client = $server->connect();
Gateway::bindUid($client->id, 'anna');
Gateway::joinGroup($client->id, 'room');
Gateway::setSession($client->id, ['name' => 'Anna', 'list' => [1, 2.5, null]]);

echo "-- every question gives the same\n";
$questions = [
    ['isOnline', [$client->id]],
    ['isUidOnline', ['anna']],
    ['isUidOnline', ['uid' => 'bob']],
    ['isUidsOnline', [['anna', 'bob']]],
    ['getClientIdByUid', ['anna']],
    ['batchGetClientIdByUid', [['anna', 'bob']]],
    ['getUidByClientId', [$client->id]],
    ['getAllClientIdCount', []],
    ['getClientIdCountByGroup', ['group' => 'room']],
    ['batchGetClientIdCountByGroup', [['room', 'none']]],
    ['getAllClientIdList', []],
    ['getClientIdListByGroup', ['room']],
    ['getUidListByGroup', ['room']],
    ['getAllGroupIdList', []],
    ['getAllGroupUidList', []],
    ['getSession', [$client->id]],
    ['getAllClientSessions', []],
    ['getClientProof', [$client->id]],
];
$futures = array_map(fn (array $question) => Gateway::later(...$question), $questions);
foreach (array_reverse($futures, true) as $index => $future) {
    [$method, $arguments] = $questions[$index];
    $expected = Gateway::$method(...$arguments);
    if ($future->resolve() !== $expected || $future->resolve() !== $expected) {
        echo "$method: ", json_encode($future->resolve()), ' instead of ', json_encode($expected), "\n";
    }
}

echo "-- its place among the orders\n";
for ($i = 0; $i < 100; $i++) {
    Gateway::bindUid($client->id, "uid$i");
    $places[] = Gateway::later('getUidByClientId', [$client->id]);
}
echo array_keys(array_filter($places, fn ($future, $i) => $future->resolve() !== "uid$i", ARRAY_FILTER_USE_BOTH)) === []
    ? "kept\n" : "lost\n";

echo "-- a method without a question is done at once\n";
$sent = Gateway::later('sendToAll', ['message' => 'from later']);
var_dump($sent->isReady(), $sent->resolve(), $client->receive());
var_dump(Gateway::later('isUidOnline', [''])->resolve());

echo "-- streams\n";
$waiting = array_map(fn () => Gateway::later('getAllClientIdCount'), range(1, 20));
while ($waiting) {
    $read = array_map(fn ($future) => $future->stream(), $waiting);
    $none = [];
    stream_select($read, $none, $none, 5) ?: exit('nothing came');
    foreach ($read as $key => $stream) {
        $waiting[$key]->isReady() && $waiting[$key]->resolve(0) === 1 || exit('a stream without an answer');
        unset($waiting[$key]);
    }
}
$done = Gateway::later('getAllClientIdCount');
$done->resolve();
$read = [$done->stream()];
var_dump(stream_select($read, $none, $none, 0));

echo "-- code of the program in the conversions\n";
class Uid
{
    public function __toString(): string
    {
        // These are calls of their own, and one is split itself.
        return Gateway::isUidOnline('uid99') . Gateway::later('getAllClientIdCount')->resolve() . '!';
    }
}
Gateway::bindUid($client->id, 'uid99');
var_dump(Gateway::later('isUidOnline', [new Uid])->resolve());
// Then uid99 is nobody's.
Gateway::bindUid($client->id, '01!');
var_dump(Gateway::later('isUidOnline', [new Uid])->resolve());

echo "-- a class that extends this one\n";
class Elsewhere extends Gateway
{
    public static $registerAddress;
}
Elsewhere::$registerAddress = GatewayTest\nobody();
$lost = Elsewhere::later('isUidOnline', ['anna']);
echo preg_replace('/:\d+.*/', '', thrown(fn () => $lost->resolve())), "\n";
echo thrown(fn () => $lost->resolve()), "\n";
ini_set('gateway.on_error', 'silent');
var_dump(Elsewhere::later('isUidsOnline', [['anna']])->resolve());
ini_set('gateway.on_error', 'exception');

echo "-- wrong\n";
echo thrown(fn () => Gateway::later('isOnlin', ['x'])), "\n";
echo thrown(fn () => Gateway::later('isOnline', ['x'])), "\n";
echo thrown(fn () => Gateway::later('isOnline')), "\n";
echo thrown(fn () => Gateway::later('isUidOnline', ['name' => 'x'])), "\n";
echo thrown(fn () => Gateway::later('isUidOnline', ['uid' => 'x', 'y'])), "\n";
echo thrown(fn () => Gateway::later('getAllClientIdCount')->resolve(-1)), "\n";
echo thrown(fn () => new PushGateway\GatewayFuture), "\n";
echo thrown(fn () => clone Gateway::later('getAllClientIdCount')), "\n";
echo thrown(fn () => serialize(Gateway::later('getAllClientIdCount'))), "\n";

echo "-- a gateway that does not answer\n";
$stuck = new GatewayTest\Stuck;
Gateway::$registerAddress = $stuck->address;
Gateway::$connectTimeout = 0.5;
$future = Gateway::later('isUidOnline', ['anna']);
echo thrown(fn () => $future->resolve(0)), "\n";
var_dump($future->isReady());
echo str_replace($stuck->address, 'ADDRESS', thrown(fn () => $future->resolve())), "\n";
var_dump($future->isReady(), $future->secondsLeft());

echo "-- as many as may be\n";
Gateway::$connectTimeout = 30;
$stuck = new GatewayTest\Stuck;
Gateway::$registerAddress = $stuck->address;
$open = [];
for ($i = 0; $i < 1024; $i++) {
    $open[] = Gateway::later('isUidOnline', ['anna']);
}
echo str_replace($stuck->address, 'ADDRESS', thrown(fn () => Gateway::later('isUidOnline', ['anna'])->resolve())), "\n";
unset($open[17]);
var_dump(Gateway::later('isUidOnline', ['anna'])->isReady());
// What is open when the request ends is given up.
ini_set('gateway.flush_timeout', 0);
?>
--EXPECT--
-- every question gives the same
-- its place among the orders
kept
-- a method without a question is done at once
bool(true)
NULL
string(10) "from later"
int(0)
-- streams
int(1)
-- code of the program in the conversions
int(0)
int(1)
-- a class that extends this one
PushGateway\UnreachableException: Can not connect to tcp://127.0.0.1
PushGateway\GatewayException: this future was resolved before, and its answer was an error
array(0) {
}
-- wrong
PushGateway\ArgumentException: Gateway has no method isOnlin
PushGateway\ArgumentException: client_id "x" is invalid: it must be 20 hexadecimal digits
ArgumentCountError: PushGateway\Gateway::isOnline() expects exactly 1 argument, 0 given
Error: Unknown named parameter $name
PushGateway\ArgumentException: an argument without a name must stand before those with one
PushGateway\ArgumentException: the time to wait must be 0 seconds or more, and finite
Exception: You cannot instantiate this class from PHP.
Error: Trying to clone an uncloneable object of class PushGateway\GatewayFuture
Exception: Serialization of 'PushGateway\GatewayFuture' is not allowed
-- a gateway that does not answer
PushGateway\TimeoutException: the gateway has not answered yet: wait longer, or for the future's stream
bool(false)
PushGateway\TimeoutException: the gateway at tcp://ADDRESS did not answer within 0.5 s (Gateway::$connectTimeout)
bool(true)
float(0)
-- as many as may be
PushGateway\GatewayException: 1024 questions to the gateway at tcp://ADDRESS wait for their answer or to be resolved, and that is as many as may
bool(false)
