--TEST--
Lists and counts: keys and values are of the types that the original gives
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
$tabs = [$server->connect(), $server->connect(), $server->connect()];
[$a, $b, $c] = array_column($tabs, 'id');
function show(string $what, mixed $value): void
{
    if (is_array($value)) {
        ksort($value, SORT_STRING);
    }
    echo $what, ' ', json_encode($value), "\n";
}
$named = fn (array $map) => array_map(fn ($id) => match ($id) { $a => 'a', $b => 'b', $c => 'c' }, array_values($map));
$sorted = function (array $list): array {
    sort($list, SORT_STRING);
    return $list;
};

Gateway::bindUid($a, 7);
Gateway::bindUid($b, '007');
Gateway::joinGroup($a, 5);
Gateway::joinGroup($b, '5');
Gateway::joinGroup($b, 'room');

echo "-- uids\n";
var_dump(Gateway::isUidsOnline([7, '007', 'nobody', '']));
var_dump(array_map('count', Gateway::batchGetClientIdByUid([7, '007', 'nobody'])));
var_dump(Gateway::getAllUidList() == [7 => '7', '007' => '007'], Gateway::getAllUidCount());
var_dump(Gateway::getUidListByGroup('room'), Gateway::getUidListByGroup([5, 'room']) == [7 => '7', '007' => '007']);
var_dump(Gateway::getUidCountByGroup(5), Gateway::getUidCountByGroup(['room', 'none']));

echo "-- groups\n";
$groups = Gateway::getAllGroupIdList();
ksort($groups, SORT_STRING);
var_dump($groups === [5 => 5, 'room' => 'room']);
var_dump(Gateway::getClientIdCountByGroup(), Gateway::getClientCountByGroup(''), Gateway::getClientIdCountByGroup(5));
var_dump(Gateway::batchGetClientIdCountByGroup(['room', 5, 'none']));
// The gateway counts so many in several goes.
$many = array_fill_keys(array_map(fn (int $i) => "none $i", range(1, 3000)), 0);
array_splice($many, 2500, 0, ['room' => 0]);
$many = [...array_slice($many, 0, 2500), 'room' => Gateway::getClientIdCountByGroup('room'), ...array_slice($many, 2501)];
var_dump(Gateway::batchGetClientIdCountByGroup(array_keys($many)) === $many, $many['room'] > 0);
show('uids', Gateway::getAllGroupUidCount());
show('clients', Gateway::getAllGroupClientIdCount());
show('lists', array_map(fn ($uids) => $sorted(array_values($uids)), Gateway::getAllGroupUidList()));
show('lists', array_map(fn ($ids) => $sorted($named($ids)), Gateway::getAllGroupClientIdList()));

echo "-- clients\n";
$all = Gateway::getAllClientIdList();
var_dump($sorted($named($all)) === ['a', 'b', 'c'], array_keys($all) === array_values($all));
var_dump($named(Gateway::getClientIdListByGroup('room')), count(Gateway::getClientIdListByGroup(['room', 5])));
Gateway::setSession($b, ['n' => 1]);
var_dump(Gateway::getAllClientSessions()[$a], Gateway::getAllClientSessions('room') === [$b => ['n' => 1]]);
var_dump(Gateway::getClientSessionsByGroup('room') === [$b => ['n' => 1]]);

echo "-- ungroup\n";
var_dump(Gateway::ungroup('room'), Gateway::getClientIdListByGroup('room'), Gateway::getAllGroupIdList());

echo "-- empty names\n";
var_dump(Gateway::getClientIdListByGroup(''), Gateway::getUidCountByGroup(0), Gateway::ungroup(null));

echo "-- types\n";
echo thrown(fn () => Gateway::isUidsOnline('7')), "\n";
echo thrown(fn () => Gateway::batchGetClientIdCountByGroup([[]])), "\n";

echo "-- deprecated\n";
var_dump(Gateway::getClientInfoByGroup('none'), count(Gateway::getAllClientInfo()));

echo "-- outside an event there is no current client\n";
foreach (['sendToCurrentClient', 'closeCurrentClient', 'destoryCurrentClient', 'destroyCurrentClient'] as $method) {
    echo thrown(fn () => $method === 'sendToCurrentClient' ? Gateway::$method('x') : Gateway::$method()), "\n";
}
var_dump(Gateway::setBusinessWorker(new stdClass));

echo "-- destroying\n";
var_dump(Gateway::destroyClient($a), Gateway::destoryClient($b), Gateway::getAllClientIdCount());
?>
--EXPECTF--
-- uids
array(4) {
  [7]=>
  int(1)
  ["007"]=>
  int(1)
  ["nobody"]=>
  int(0)
  [""]=>
  int(0)
}
array(3) {
  [7]=>
  int(1)
  ["007"]=>
  int(1)
  ["nobody"]=>
  int(0)
}
bool(true)
int(2)
array(1) {
  ["007"]=>
  string(3) "007"
}
bool(true)
int(2)
int(1)
-- groups
bool(true)
int(3)
int(3)
int(2)
array(3) {
  ["room"]=>
  int(1)
  [5]=>
  int(2)
  ["none"]=>
  int(0)
}
bool(true)
bool(true)
uids {"5":2,"room":1}
clients {"5":2,"room":1}
lists {"5":["007","7"],"room":["007"]}
lists {"5":["a","b"],"room":["b"]}
-- clients
bool(true)
bool(true)
array(1) {
  [0]=>
  string(1) "b"
}
int(2)
array(0) {
}
bool(true)
bool(true)
-- ungroup
NULL
array(0) {
}
array(1) {
  [5]=>
  int(5)
}
-- empty names

Warning: PushGateway\Gateway::ungroup(): the group is empty, so nobody has left it; give a group that is not '', '0', 0, null, false or [] in %s on line %d
array(0) {
}
int(0)
bool(false)
-- types
TypeError: PushGateway\Gateway::isUidsOnline(): Argument #1 ($uids) must be of type array, string given
TypeError: PushGateway\Gateway::batchGetClientIdCountByGroup(): Argument #1 ($groups) must be of type a list of string|int, array given
-- deprecated

Deprecated: Method PushGateway\Gateway::getClientInfoByGroup() is deprecated in %s on line %d

Deprecated: Method PushGateway\Gateway::getAllClientInfo() is deprecated in %s on line %d
array(0) {
}
int(3)
-- outside an event there is no current client
PushGateway\GatewayException: Gateway::sendToCurrentClient() can be called only while an event of a client is handled; name the client in another method, such as sendToClient()
PushGateway\GatewayException: Gateway::closeCurrentClient() can be called only while an event of a client is handled; name the client in another method, such as sendToClient()
PushGateway\GatewayException: Gateway::destoryCurrentClient() can be called only while an event of a client is handled; name the client in another method, such as sendToClient()
PushGateway\GatewayException: Gateway::destroyCurrentClient() can be called only while an event of a client is handled; name the client in another method, such as sendToClient()
NULL
-- destroying
bool(true)
bool(true)
int(1)
