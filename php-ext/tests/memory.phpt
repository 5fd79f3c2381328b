--TEST--
A million sends and more than a hundred thousand queries leave the memory as it is
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
if (!is_readable('/proc/self/status')) die('skip there is no /proc');
?>
--INI--
gateway.buffer_bytes=256K
gateway.flush_timeout=0
--FILE--
<?php
require 'gateway.inc';

$server = new GatewayTest\Server;
Gateway::$registerAddress = $server->register;
$client = $server->connect();
$id = $client->id;
Gateway::bindUid($id, 'user');
Gateway::joinGroup($id, 'group');
Gateway::setSession($id, ['name' => 'value']);

function resident(): int
{
    preg_match('/^VmRSS:\s+(\d+) kB/m', file_get_contents('/proc/self/status'), $matches);
    return $matches[1] * 1024;
}

/** Of PHP's own memory nothing may stay; in the process's, a leak of 3 bytes a send or 20 a query shows. */
const SLACK = 2 << 20;

function flat(string $what, int $times, callable $body): void
{
    // Caches and queues grow to their size in this loop.
    $body(intdiv($times, 5));
    // When this is answered, everything is confirmed.
    Gateway::getAllClientIdCount();
    [$before, $own] = [resident(), memory_get_usage()];
    $body($times);
    Gateway::getAllClientIdCount();
    [$more, $own] = [resident() - $before, memory_get_usage() - $own];
    echo "$what: ", $more < SLACK && $own < 1024 ? 'flat' : "$more bytes more, of which PHP knows $own", "\n";
}

// No client has this uid, so that the test measures PHP's side alone.
flat('sends', 1000000, function (int $times) {
    for ($i = 0; $i < $times; $i++) {
        Gateway::sendToUid("nobody $i", "message $i");
    }
});
flat('orders of other kinds', 20000, function (int $times) use ($id) {
    for ($i = 0; $i < $times; $i++) {
        Gateway::joinGroup($id, "group $i");
        Gateway::leaveGroup($id, "group $i");
        Gateway::updateSession($id, ['number' => $i, 'list' => ['a', 'b']]);
        Gateway::sendToGroup(["nobody $i", 'nothing'], "message $i", [$id]);
    }
});
flat('queries', 8000, function (int $times) use ($id) {
    for ($i = 0; $i < $times; $i++) {
        Gateway::isOnline($id);
        Gateway::isUidsOnline(['user', "nobody $i"]);
        Gateway::getClientIdByUid('user');
        Gateway::batchGetClientIdByUid(['user', "nobody $i"]);
        Gateway::getUidByClientId($id);
        Gateway::getAllClientIdList();
        Gateway::getUidListByGroup('group');
        Gateway::getAllGroupIdList();
        Gateway::getAllGroupUidList();
        Gateway::getAllGroupClientIdCount();
        Gateway::getSession($id);
        Gateway::getAllClientSessions();
        Gateway::getClientSessionsByGroup(['group', "nobody $i"]);
    }
});
flat('failures', 50000, function (int $times) {
    for ($i = 0; $i < $times; $i++) {
        try {
            Gateway::isOnline("bad $i");
        } catch (GatewayException) {
        }
        @Gateway::sendToUid('', 'nothing');
        try {
            Gateway::sendToAll([]);
        } catch (TypeError) {
        }
    }
});
flat('other gateways', 200, function (int $times) use ($server) {
    for ($i = 0; $i < $times; $i++) {
        try {
            // It has none; a link to each.
            Gateway::$secretKey = "wrong secret $i";
            Gateway::getAllClientIdCount();
        } catch (GatewayException) {
        }
    }
    Gateway::$secretKey = '';
});
?>
--EXPECT--
sends: flat
orders of other kinds: flat
queries: flat
failures: flat
other gateways: flat
