--TEST--
Binding, groups and questions
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

$server = new GatewayTest\Server;
Gateway::$registerAddress = $server->register;
$nobody = str_repeat('0', 20);
var_dump(Gateway::getAllClientIdCount(), Gateway::getAllClientCount());
[$a, $b] = [$server->connect(), $server->connect()];
var_dump(Gateway::getAllClientIdCount(), Gateway::getAllClientCount());
var_dump(Gateway::isOnline($a->id), Gateway::isOnline($nobody));

echo "-- uids\n";
var_dump(Gateway::getUidByClientId($a->id), Gateway::isUidOnline(7), Gateway::getClientIdByUid(7));
var_dump(Gateway::bindUid($a->id, 7));
var_dump(Gateway::getUidByClientId($a->id), Gateway::isUidOnline('7'));
var_dump(Gateway::getClientIdByUid(7) === [$a->id]);
Gateway::bindUid($b->id, '7');
$both = Gateway::getClientIdByUid(7);
sort($both);
$ids = [$a->id, $b->id];
sort($ids);
var_dump($both === $ids);
echo "-- binding again moves\n";
Gateway::bindUid($b->id, "\xff any bytes\0");
var_dump(Gateway::getClientIdByUid(7) === [$a->id], Gateway::getUidByClientId($b->id) === "\xff any bytes\0");
var_dump(Gateway::getClientIdByUid("\xff any bytes\0") === [$b->id]);
echo "-- unbinding, whatever the uid\n";
var_dump(Gateway::unbindUid($a->id, 'another'));
var_dump(Gateway::getUidByClientId($a->id), Gateway::isUidOnline(7), Gateway::getClientIdByUid(7));
Gateway::bindUid($a->id, 7);
Gateway::unbindUid($a->id, '');
var_dump(Gateway::getUidByClientId($a->id));
var_dump(Gateway::getUidByClientId($nobody));

echo "-- groups\n";
var_dump(Gateway::joinGroup($a->id, 'room'), Gateway::joinGroup($b->id, 'room'));
Gateway::sendToGroup('room', 'both');
var_dump(Gateway::leaveGroup($b->id, 'room'));
Gateway::leaveGroup($b->id, 'another');
Gateway::sendToGroup('room', 'a only');
Gateway::sendToAll('all');
var_dump($a->receiveMany(3), $b->receiveMany(2));

echo "-- the connection's end is the end of it all\n";
Gateway::bindUid($a->id, 7);
$a->close();
GatewayTest\eventually('the count goes down', fn () => Gateway::getAllClientIdCount() === 1);
var_dump(Gateway::isOnline($a->id), Gateway::isUidOnline(7), Gateway::getUidByClientId($a->id));
?>
--EXPECT--
int(0)
int(0)
int(2)
int(2)
int(1)
int(0)
-- uids
NULL
int(0)
array(0) {
}
NULL
string(1) "7"
int(1)
bool(true)
bool(true)
-- binding again moves
bool(true)
bool(true)
bool(true)
-- unbinding, whatever the uid
NULL
NULL
int(0)
array(0) {
}
NULL
NULL
-- groups
NULL
NULL
NULL
array(3) {
  [0]=>
  string(4) "both"
  [1]=>
  string(6) "a only"
  [2]=>
  string(3) "all"
}
array(2) {
  [0]=>
  string(4) "both"
  [1]=>
  string(3) "all"
}
-- the connection's end is the end of it all
int(0)
int(0)
NULL
