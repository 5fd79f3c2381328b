--TEST--
Arguments follow PHP's own rules
--EXTENSIONS--
gateway
--FILE--
<?php
require 'gateway.inc';
use function GatewayTest\thrown;

// Arguments are read before anything is sent, so this address shows that they were all right.
Gateway::$registerAddress = 'arguments are fine';
$id = str_repeat('0', 20);

class Text
{
    public function __toString(): string
    {
        return 'text';
    }
}

function show(callable $body)
{
    $thrown = thrown($body);
    echo str_contains($thrown, 'arguments are fine') ? 'fine' : $thrown, "\n";
}

echo "-- a string takes what strings take\n";
show(fn () => Gateway::sendToAll('x'));
show(fn () => Gateway::sendToAll(12));
show(fn () => Gateway::sendToAll(1.5));
show(fn () => Gateway::sendToAll(true));
show(fn () => Gateway::sendToAll(new Text));
show(fn () => Gateway::sendToAll("\xff\0 any bytes"));
show(fn () => Gateway::sendToAll([]));
show(fn () => Gateway::sendToAll(['a' => [1, null]]));
show(fn () => Gateway::sendToAll([new stdClass]));
show(fn () => Gateway::sendToAll(["\xff"]));
show(fn () => Gateway::sendToAll(array_fill(0, 1 << 17, 1)));
show(fn () => Gateway::sendToAll(new stdClass));
show(fn () => Gateway::sendToAll(null));

echo "-- a bool takes what bools take\n";
show(fn () => Gateway::sendToUid(1, 'x', 1));
show(fn () => Gateway::sendToUid(1, 'x', 'yes'));
show(fn () => Gateway::sendToUid(1, 'x', []));

echo "-- a uid or group is any scalar\n";
show(fn () => Gateway::sendToUid('u', 'x'));
show(fn () => Gateway::sendToUid(7, 'x'));
show(fn () => Gateway::sendToUid(-7, 'x'));
show(fn () => Gateway::sendToUid(7.5, 'x'));
show(fn () => Gateway::sendToUid(true, 'x'));
show(fn () => Gateway::sendToUid(new Text, 'x'));
show(fn () => Gateway::sendToUid(['u', 7, 7.5], 'x'));
show(fn () => Gateway::sendToUid(['key' => 'u'], 'x'));
show(fn () => Gateway::sendToUid(new stdClass, 'x'));
show(fn () => Gateway::sendToUid(STDIN, 'x'));
show(fn () => Gateway::sendToUid([['u']], 'x'));
show(fn () => Gateway::sendToGroup(['g', 1], 'x'));
show(fn () => Gateway::bindUid($id, 7));
show(fn () => Gateway::bindUid($id, ['u']));
show(fn () => Gateway::joinGroup($id, ['g']));
show(fn () => Gateway::isUidOnline(['u']));

echo "-- references are looked through\n";
$uid = 7;
$list = [&$uid, 'u'];
$reference = &$list;
show(fn () => Gateway::sendToUid($reference, 'x'));

echo "-- lists of clients\n";
show(fn () => Gateway::sendToAll('x', [$id]));
show(fn () => Gateway::sendToAll('x', [$id], [$id]));
show(fn () => Gateway::sendToAll('x', null, $id));
show(fn () => Gateway::sendToAll('x', null, [$id]));
show(fn () => Gateway::sendToAll('x', false, ''));
show(fn () => Gateway::sendToAll('x', []));
show(fn () => Gateway::sendToAll('x', $id));
show(fn () => Gateway::sendToAll('x', [[]]));
show(fn () => Gateway::sendToAll('x', null, new stdClass));
show(fn () => Gateway::sendToGroup('g', 'x', []));
show(fn () => Gateway::sendToGroup('g', 'x', $id));

echo "-- names and numbers of arguments\n";
show(fn () => Gateway::sendToAll(message: 'x', raw: true));
show(fn () => Gateway::sendToAll(raw: true, message: 'x', exclude_client_id: [$id]));
show(fn () => Gateway::closeClient(client_id: $id));
show(fn () => Gateway::closeClient($id, null));
show(fn () => Gateway::sendToAll());
show(fn () => Gateway::sendToUid(1));
show(fn () => Gateway::sendToUid(1, 'x', false, null, null, null, 7));
show(fn () => Gateway::sendToUid(1, text: 'x'));
show(fn () => call_user_func_array(['Gateway', 'sendToUid'], ['uid' => 1, 'message' => 'x']));
show(fn () => array_map('Gateway::isOnline', [$id]));
?>
--EXPECTF--
-- a string takes what strings take
fine
fine
fine
fine
fine
fine
fine
fine
PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds something other than null, booleans, integers, strings and arrays of them; encode it
PushGateway\ArgumentException: the message is an array of which no JSON is made: it holds text that is not UTF-8; encode it
PushGateway\ArgumentException: the message is an array of which no JSON is made: it has more than 131072 values; encode it
TypeError: PushGateway\Gateway::sendToAll(): Argument #1 ($message) must be of type string, stdClass given
fine
-- a bool takes what bools take
fine
fine
TypeError: PushGateway\Gateway::sendToUid(): Argument #3 ($raw) must be of type bool, array given
-- a uid or group is any scalar
fine
fine
fine
fine
fine
fine
fine
fine
Error: Object of class stdClass could not be converted to string
TypeError: PushGateway\Gateway::sendToUid(): Argument #1 ($uid) must be of type array|string|int, resource given
TypeError: PushGateway\Gateway::sendToUid(): Argument #1 ($uid) must be of type a list of string|int, array given
fine
fine
TypeError: PushGateway\Gateway::bindUid(): Argument #2 ($uid) must be of type string|int, array given
TypeError: PushGateway\Gateway::joinGroup(): Argument #2 ($group) must be of type string|int, array given
TypeError: PushGateway\Gateway::isUidOnline(): Argument #1 ($uid) must be of type string|int, array given
-- references are looked through
fine
-- lists of clients
fine
fine
fine
fine
fine
nothing was thrown
TypeError: PushGateway\Gateway::sendToAll(): Argument #2 ($client_id_array) must be of type ?array, string given
TypeError: PushGateway\Gateway::sendToAll(): Argument #2 ($client_id_array) must be of type a list of string, array given
TypeError: PushGateway\Gateway::sendToAll(): Argument #3 ($exclude_client_id) must be of type array|string|null, stdClass given
fine
fine
-- names and numbers of arguments
fine
fine
fine
fine
ArgumentCountError: PushGateway\Gateway::sendToAll() expects at least 1 argument, 0 given
ArgumentCountError: PushGateway\Gateway::sendToUid() expects at least 2 arguments, 1 given
ArgumentCountError: PushGateway\Gateway::sendToUid() expects at most 6 arguments, 7 given
Error: Unknown named parameter $text
fine
fine
