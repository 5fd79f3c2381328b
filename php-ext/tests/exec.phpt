--TEST--
pcntl_exec() delivers what was sent before, or says what is lost
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
GatewayTest\skip_without('pcntl_exec');
?>
--FILE--
<?php
require 'gateway.inc';
use GatewayTest\Php;

$server = new GatewayTest\Server;
$client = $server->connect();
$code = '
    for ($i = 0; $i < 500; $i++) { Gateway::sendToAll("message $i"); }
    pcntl_exec("/bin/echo", ["another program"]);
';
// The end of a request waits for nothing, but there is none here.
echo Php::run($code, ['gateway.register_address' => $server->register, 'gateway.flush_timeout' => 0]);
$expected = array_map(fn (int $i) => "message $i", range(0, 499));
echo $client->receiveMany(500) === $expected ? "all arrived\n" : "lost\n";

echo "-- a program that is not there: the process goes on\n";
echo Php::run('
    Gateway::sendToAll("before");
    var_dump(@pcntl_exec("/no such program"));
    Gateway::sendToAll("after");
', ['gateway.register_address' => $server->register]);
var_dump($client->receiveMany(2));

echo "-- a gateway that hangs\n";
$stuck = new GatewayTest\Stuck;
$begun = microtime(true);
echo str_replace($stuck->address, 'ADDRESS', Php::run(
    'Gateway::sendToAll("x"); pcntl_exec("/bin/echo", ["another program"]);',
    ['gateway.register_address' => $stuck->address, 'gateway.flush_timeout' => 0, 'gateway.connect_timeout' => 0.5]
));
echo microtime(true) - $begun < 5 ? "in time\n" : "late\n";

echo "-- a handler that throws keeps the process\n";
$stuck = new GatewayTest\Stuck;
// In PHP 8.1 the log is a file, since its standard error is closed when the last is said.
$log = tempnam(sys_get_temp_dir(), 'gateway');
echo Php::run('
    set_error_handler(function (int $level, string $text): bool { throw new ErrorException($text); });
    Gateway::sendToAll("x");
    try {
        pcntl_exec("/bin/echo", ["another program"]);
    } catch (ErrorException $error) {
        echo "caught\n";
    }
    restore_error_handler();
', [
    'gateway.register_address' => $stuck->address, 'gateway.flush_timeout' => 0, 'gateway.connect_timeout' => 0.5,
    'error_log' => PHP_VERSION_ID < 80200 ? $log : '',
]);
echo preg_replace('/^\[.*?\] /m', '', file_get_contents($log));
unlink($log);
?>
--EXPECTF--
another program
all arrived
-- a program that is not there: the process goes on
bool(false)
array(2) {
  [0]=>
  string(6) "before"
  [1]=>
  string(5) "after"
}
-- a gateway that hangs

Warning: pcntl_exec(): 1 call could not be delivered to the gateway at tcp://ADDRESS: it did not confirm them in time (gateway.flush_timeout) in %s on line %d
another program
in time
-- a handler that throws keeps the process
caught
PHP extension gateway: 1 call could not be delivered to the gateway at tcp://%s: it did not confirm them in time (gateway.flush_timeout)
