--TEST--
Sending to everybody, to clients, to uids and to groups
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
[$a, $b, $c] = [$server->connect(), $server->connect(), $server->connect()];
Gateway::bindUid($a->id, 'one');
Gateway::bindUid($b->id, 2);
Gateway::bindUid($c->id, 2);
Gateway::joinGroup($a->id, 'room');
Gateway::joinGroup($b->id, 'room');
Gateway::joinGroup($b->id, 7);

/** What each got since the last time, told by a mark that comes behind it. */
function got(GatewayTest\Client ...$clients): string
{
    static $marks = 0;
    $mark = 'mark ' . ++$marks;
    Gateway::sendToAll($mark);
    $lines = [];
    foreach ($clients as $client) {
        for ($messages = []; ($message = $client->receive()) !== $mark;) {
            $messages[] = $message;
        }
        $lines[] = json_encode($messages);
    }
    return implode(' ', $lines) . "\n";
}

echo "-- everybody\n";
var_dump(Gateway::sendToAll('all'));
echo got($a, $b, $c);
Gateway::sendToAll('a and c', [$a->id, $c->id]);
Gateway::sendToAll('nobody', []);
Gateway::sendToAll('not a', null, $a->id);
Gateway::sendToAll('c only', null, [$a->id, $b->id]);
Gateway::sendToAll('b of a and b', [$a->id, $b->id], [$a->id]);
Gateway::sendToAll('upper case', [strtoupper($a->id)]);
Gateway::sendToAll('once', [$a->id, $b->id, $a->id, strtoupper($a->id)], [$b->id, $b->id]);
echo got($a, $b, $c);

echo "-- clients\n";
var_dump(Gateway::sendToClient($a->id, 'to a'));
var_dump(Gateway::sendToClient(substr($a->id, 0, 12) . 'ffffffff', 'to nobody'));
var_dump(Gateway::sendToClient(str_repeat('0', 20), 'to nobody'));
echo got($a, $b, $c);

echo "-- uids\n";
var_dump(Gateway::sendToUid('one', 'to one'));
Gateway::sendToUid(2, 'to 2');
Gateway::sendToUid('2', 'to "2"');
Gateway::sendToUid(['one', 2, 'nobody'], 'to both');
Gateway::sendToUid(['', 'one', 0], 'skipping');
Gateway::sendToUid('nobody', 'to nobody');
echo got($a, $b, $c);

echo "-- groups\n";
var_dump(Gateway::sendToGroup('room', 'to the room'));
Gateway::sendToGroup(7, 'to 7');
Gateway::sendToGroup(['room', '7'], 'b twice');
Gateway::sendToGroup('room', 'a only', $b->id);
Gateway::sendToGroup('room', 'nobody', [$a->id, $b->id]);
echo got($a, $b, $c);

echo "-- options\n";
Gateway::sendToUid(2, 'not b', false, $b->id);
Gateway::sendToUid([2, 'one'], 'c of all', exclude_client_id: [$a->id, $b->id]);
Gateway::sendToUid([2, 2, 'one'], 'no roommates', exclude_group: 'room');
Gateway::sendToAll('not 7', exclude_group: 7);
Gateway::sendToAll('neither', exclude_group: ['room', 'nobody\'s'], exclude_client_id: $c->id);
Gateway::sendToAll('a of a and b', [$a->id, $b->id, $a->id], exclude_group: ['7']);
Gateway::sendToGroup('room', 'room but 7', exclude_group: 7);
Gateway::sendToGroup(['room', 7], 'twice still', binary: false);
Gateway::sendToAll('everybody', exclude_group: ['', 0, null]);
Gateway::sendToUid([0, 'one'], 'beside an empty one', exclude_client_id: $c->id);
echo got($a, $b, $c);
foreach ([true => 'binary', false => 'text'] as $binary => $kind) {
    Gateway::sendToAll('kind', binary: (bool) $binary);
    Gateway::sendToClient($a->id, 'kind', false, (bool) $binary);
    Gateway::sendToUid('one', 'kind', binary: (bool) $binary);
    Gateway::sendToGroup('room', 'kind', binary: (bool) $binary);
    echo "$kind:";
    foreach ([1, 2, 3, 4] as $_) {
        echo ' ', $a->receive() === 'kind' ? $a->opcode : 'another';
    }
    echo "\n";
}
got($a, $b, $c);

echo "-- any bytes, any length that fits\n";
Gateway::sendToUid('one', '');
Gateway::sendToUid('one', '0');
Gateway::sendToUid('one', 'ünïcödé "quotes" \\');
Gateway::sendToUid('one', ['type' => 'comment', 'text' => "grüß/\n", 'list' => [1, 2.5, 1e25, true, null], 'empty' => []]);
Gateway::sendToClient($a->id, [7 => 'x']);
$list = [1, 2];
foreach ($list as &$reference) {
    // The loop leaves a reference in the array.
}
Gateway::sendToUid('one', $list);
echo implode("\n", $a->receiveMany(3 + 3)), "\n";
$long = str_repeat('0123456789abcdef', 1 << 16);
Gateway::sendToUid('one', $long);
var_dump($a->receive() === $long);
Gateway::sendToUid('one', "\xff\0\xfe not text");
var_dump($a->receive() === "\xff\0\xfe not text");

echo "-- raw\n";
$raw = "\x82\x05\0\xffraw";
Gateway::sendToAll($raw, [$a->id], null, true);
Gateway::sendToClient($a->id, $raw, true);
Gateway::sendToUid('one', $raw, true);
Gateway::sendToGroup('room', $raw, $b->id, true);
var_dump($a->receiveRaw(28) === str_repeat($raw, 4));

echo "-- closing\n";
var_dump(Gateway::closeClient($a->id, 'goodbye'), $a->receive(), $a->receive());
var_dump(Gateway::closeClient($b->id), $b->receive());
var_dump(Gateway::closeClient($b->id));
Gateway::sendToAll('left');
var_dump($c->receive());
$d = $server->connect();
Gateway::bindUid($d->id, 'four');
var_dump(Gateway::closeUid(['nobody', 0, 2, 'four'], 'all of them'), $c->receive(), $c->receive(), $d->receive(), $d->receive());
var_dump(Gateway::closeUid(''), Gateway::isUidOnline(2));
?>
--EXPECT--
-- everybody
NULL
["all"] ["all"] ["all"]
["a and c","upper case","once"] ["not a","b of a and b"] ["a and c","not a","c only"]
-- clients
bool(true)
bool(true)
bool(true)
["to a"] [] []
-- uids
NULL
["to one","to both","skipping"] ["to 2","to \"2\"","to both"] ["to 2","to \"2\"","to both"]
-- groups
NULL
["to the room","b twice","a only"] ["to the room","to 7","b twice","b twice"] []
-- options
["not 7","a of a and b","room but 7","twice still","everybody","beside an empty one"] ["twice still","twice still","everybody"] ["not b","c of all","no roommates","not 7","everybody"]
binary: 2 2 2 2
text: 1 1 1 1
-- any bytes, any length that fits

0
ünïcödé "quotes" \
{"type":"comment","text":"grüß\/\n","list":[1,2.5,1.0e+25,true,null],"empty":[]}
{"7":"x"}
[1,2]
bool(true)
bool(true)
-- raw
bool(true)
-- closing
bool(true)
string(7) "goodbye"
NULL
bool(true)
NULL
bool(true)
string(4) "left"
NULL
string(11) "all of them"
NULL
string(11) "all of them"
NULL
NULL
int(0)
