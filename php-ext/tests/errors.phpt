--TEST--
Empty names are nobody's, binding one warns, malformed client_ids and settings throw, and nothing is opened
--EXTENSIONS--
gateway
--FILE--
<?php
require 'gateway.inc';
use function GatewayTest\{nobody, thrown};

$address = Gateway::$registerAddress = nobody();
$id = str_repeat('0', 20);

// As in many applications, every warning becomes an exception.
set_error_handler(fn ($level, $message) => throw new ErrorException($message));

echo "-- sends to and questions about empty uids and groups\n";
$before = Gateway::stats()['skipped'];
foreach (['', '0', 0, null, false, [], 0.0, -0.0, [''], ['', 0, null]] as $empty) {
    echo json_encode([
        Gateway::sendToUid($empty, 'x'), Gateway::sendToGroup($empty, 'x'), Gateway::getClientIdListByGroup($empty),
        Gateway::getUidListByGroup($empty), Gateway::getUidCountByGroup($empty), Gateway::getClientSessionsByGroup($empty),
    ]), "\n";
}
foreach (['', '0', 0, null, false, 0.0] as $empty) {
    echo json_encode([Gateway::isUidOnline($empty), Gateway::getClientIdByUid($empty)]), "\n";
}
// Nine values count once in each of six methods, the list of three counts three times, and six values count in two more methods.
var_dump(Gateway::stats()['skipped'] - $before === 9 * 6 + 3 * 6 + 6 * 2, Gateway::lastError());

echo "-- binding, joining, leaving and emptying\n";
echo thrown(fn () => Gateway::bindUid($id, '')), "\n";
echo thrown(fn () => Gateway::joinGroup($id, 0)), "\n";
restore_error_handler();
var_dump(Gateway::bindUid($id, false));
var_dump(Gateway::joinGroup($id, '0'));
var_dump(Gateway::leaveGroup($id, null));
var_dump(Gateway::ungroup([]));
var_dump(Gateway::ungroup(''));

echo "-- unbinding needs no uid\n";
var_dump(str_contains(thrown(fn () => Gateway::unbindUid($id, '')), "Can not connect to tcp://$address "));

echo "-- client_ids\n";
foreach (['', 'abc', str_repeat('g', 20), str_repeat('0', 21), "nul\0" . str_repeat('0', 16)] as $bad) {
    echo thrown(fn () => Gateway::sendToClient($bad, 'x')), "\n";
}
echo thrown(fn () => Gateway::isOnline('abc')), "\n";
echo thrown(fn () => Gateway::closeClient('abc')), "\n";
echo thrown(fn () => Gateway::unbindUid('abc', 1)), "\n";
echo thrown(fn () => Gateway::getUidByClientId('abc')), "\n";
echo thrown(fn () => Gateway::sendToAll('x', ['abc'])), "\n";
echo thrown(fn () => Gateway::sendToAll('x', null, 'abc')), "\n";
echo thrown(fn () => Gateway::sendToGroup('g', 'x', [7])), "\n";

echo "-- names that are too long to be kept\n";
echo thrown(fn () => Gateway::bindUid($id, str_repeat('u', 1025))), "\n";
echo thrown(fn () => Gateway::joinGroup($id, str_repeat('g', 1025))), "\n";

echo "-- settings\n";
foreach (['', '127.0.0.1', 'ws://127.0.0.1:1', '::1:1236', 'a:1,b:2', 7, null, [], [7], ['127.0.0.1:1', 'x']] as $bad) {
    Gateway::$registerAddress = $bad;
    echo thrown(fn () => Gateway::sendToAll('x')), "\n";
}
Gateway::$registerAddress = $address;
foreach ([0, -1, 'soon', null, NAN, []] as $bad) {
    Gateway::$connectTimeout = $bad;
    echo thrown(fn () => Gateway::sendToAll('x')), "\n";
}
Gateway::$connectTimeout = '0.5';
echo str_replace($address, 'ADDRESS', thrown(fn () => Gateway::sendToAll('x'))), "\n";
Gateway::$secretKey = [];
echo thrown(fn () => Gateway::sendToAll('x')), "\n";
?>
--EXPECTF--
-- sends to and questions about empty uids and groups
[null,false,[],[],0,[]]
[null,false,[],[],0,[]]
[null,false,[],[],0,[]]
[null,false,[],[],0,[]]
[null,false,[],[],0,[]]
[null,false,[],[],0,[]]
[null,false,[],[],0,[]]
[null,false,[],[],0,[]]
[null,null,[],[],0,[]]
[null,null,[],[],0,[]]
[0,[]]
[0,[]]
[0,[]]
[0,[]]
[0,[]]
[0,[]]
bool(true)
NULL
-- binding, joining, leaving and emptying
ErrorException: PushGateway\Gateway::bindUid(): the uid is empty, so nothing was bound; give a uid that is not '', '0', 0, null, false or []
ErrorException: PushGateway\Gateway::joinGroup(): the group is empty, so no group was joined; give a group that is not '', '0', 0, null, false or []

Warning: PushGateway\Gateway::bindUid(): the uid is empty, so nothing was bound; %s
NULL

Warning: PushGateway\Gateway::joinGroup(): the group is empty, so no group was joined; %s
NULL

Warning: PushGateway\Gateway::leaveGroup(): the group is empty, so no group was left; %s
NULL

Warning: PushGateway\Gateway::ungroup(): the group is empty, so nobody has left it; %s
bool(false)

Warning: PushGateway\Gateway::ungroup(): the group is empty, so nobody has left it; %s
bool(false)
-- unbinding needs no uid
bool(true)
-- client_ids
PushGateway\ArgumentException: client_id "" is invalid: it must be 20 hexadecimal digits
PushGateway\ArgumentException: client_id "abc" is invalid: it must be 20 hexadecimal digits
PushGateway\ArgumentException: client_id "gggggggggggggggggggg" is invalid: it must be 20 hexadecimal digits
PushGateway\ArgumentException: client_id "000000000000000000000" is invalid: it must be 20 hexadecimal digits
PushGateway\ArgumentException: client_id "nul\00000000000000000" is invalid: it must be 20 hexadecimal digits
PushGateway\ArgumentException: client_id "abc" is invalid: it must be 20 hexadecimal digits
PushGateway\ArgumentException: client_id "abc" is invalid: it must be 20 hexadecimal digits
PushGateway\ArgumentException: client_id "abc" is invalid: it must be 20 hexadecimal digits
PushGateway\ArgumentException: client_id "abc" is invalid: it must be 20 hexadecimal digits
PushGateway\ArgumentException: client_id "abc" is invalid: it must be 20 hexadecimal digits
PushGateway\ArgumentException: client_id "abc" is invalid: it must be 20 hexadecimal digits
PushGateway\ArgumentException: client_id "7" is invalid: it must be 20 hexadecimal digits
-- names that are too long to be kept
PushGateway\ArgumentException: the uid has 1025 bytes, more than the 1024 that one may have
PushGateway\ArgumentException: the group has 1025 bytes, more than the 1024 that one may have
-- settings
PushGateway\ArgumentException: the gateway address "" is empty; write it as host:port, tcp://host:port, [ipv6]:port or unix:///path, or as tls://host:port if it has TLS
PushGateway\ArgumentException: the gateway address "127.0.0.1" has no port; %s
PushGateway\ArgumentException: the gateway address "ws://127.0.0.1:1" has a scheme that is not known here; %s
PushGateway\ArgumentException: the gateway address "::1:1236" has too many colons (an IPv6 address stands in brackets); %s
PushGateway\ArgumentException: the gateway address "a:1,b:2" has too many colons (an IPv6 address stands in brackets); %s
PushGateway\ArgumentException: Gateway::$registerAddress must be a string such as '127.0.0.1:1236', or an array of such strings
PushGateway\ArgumentException: Gateway::$registerAddress must be a string such as '127.0.0.1:1236', or an array of such strings
PushGateway\ArgumentException: Gateway::$registerAddress: the list of gateway addresses is empty; give at least one, as host:port
PushGateway\ArgumentException: Gateway::$registerAddress must be a string such as '127.0.0.1:1236', or an array of such strings
PushGateway\ArgumentException: the gateway address "x" has no port; %s
PushGateway\ArgumentException: Gateway::$connectTimeout must be a number of seconds above 0, such as 3 or 0.5
PushGateway\ArgumentException: Gateway::$connectTimeout must be a number of seconds above 0, such as 3 or 0.5
PushGateway\ArgumentException: Gateway::$connectTimeout must be a number of seconds above 0, such as 3 or 0.5
PushGateway\ArgumentException: Gateway::$connectTimeout must be a number of seconds above 0, such as 3 or 0.5
PushGateway\ArgumentException: Gateway::$connectTimeout must be a number of seconds above 0, such as 3 or 0.5
PushGateway\ArgumentException: Gateway::$connectTimeout must be a number of seconds above 0, such as 3 or 0.5
PushGateway\UnreachableException: Can not connect to tcp://ADDRESS Connection refused. %s
PushGateway\ArgumentException: Gateway::$secretKey must be a string
