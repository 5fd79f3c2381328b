--TEST--
A gateway that hangs costs a process one wait, and the requests after it nearly nothing, until it goes on
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
use function GatewayTest\{eventually, thrown};

function seconds(callable $body): float
{
    $begun = hrtime(true);
    $body();
    return (hrtime(true) - $begun) / 1e9;
}

$server = new GatewayTest\Server;
Gateway::$registerAddress = $server->register;
Gateway::$connectTimeout = 3;
$client = $server->connect();
var_dump(Gateway::getAllClientIdCount());

echo "-- stopped\n";
$server->halt();
echo preg_replace('/tcp:\S+/', 'tcp:…', thrown(fn () => Gateway::getAllClientIdCount())), "\n";
$last = '';
$took = seconds(function () use (&$last) {
    for ($i = 0; $i < 5; $i++) {
        $last = thrown(fn () => Gateway::getAllClientIdCount());
    }
});
echo $took < 3 ? 'five more take less than one wait' : "five more take $took s", "\n";
echo preg_replace(['/tcp:\S+/', '/nothing for \S+/'], ['tcp:…', 'nothing for N'], $last), "\n";
Gateway::sendToAll('sent meanwhile');

echo "-- it goes on\n";
// The signal is SIGCONT.
$server->signal(18);
var_dump(eventually('an answer', function () {
    try {
        return Gateway::getAllClientIdCount();
    } catch (GatewayException) {
        return null;
    }
}));
var_dump($client->receive());
?>
--EXPECT--
int(1)
-- stopped
PushGateway\TimeoutException: the gateway at tcp:… did not answer within 3 s (Gateway::$connectTimeout)
five more take less than one wait
PushGateway\TimeoutException: the gateway at tcp:… has said nothing for N s, so that calls wait no longer than 0.1 s for it until it does
-- it goes on
int(1)
string(14) "sent meanwhile"
