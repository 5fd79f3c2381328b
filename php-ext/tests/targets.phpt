--TEST--
Another address or secret takes effect on the next call; every form of address works
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
use function GatewayTest\{nobody, thrown};

$path = sys_get_temp_dir() . '/gateway-' . getmypid() . '.sock';
$one = new GatewayTest\Server('', '127.0.0.1:0', '--register-unix', $path);
$two = new GatewayTest\Server('s3cret');
[$a, $b] = [$one->connect(), $two->connect()];

Gateway::$registerAddress = $one->register;
Gateway::sendToAll('one');
Gateway::$registerAddress = $two->register;
echo str_replace($two->register, 'TWO', thrown(fn () => Gateway::sendToAll('no secret'))), "\n";
Gateway::$secretKey = 's3cret';
Gateway::sendToAll('two');
Gateway::$registerAddress = $one->register;
Gateway::$secretKey = '';
Gateway::sendToAll('one again');
var_dump($a->receiveMany(2), $b->receive());

echo "-- forms\n";
$port = substr(strrchr($one->register, ':'), 1);
$forms = ["127.0.0.0:$port", "tcp://127.0.0.1:$port", "localhost:$port", "unix://$path",
    ["127.0.0.1:$port"], [nobody(), "tcp://127.0.0.1:$port"], ["unix:///no/such/socket", "127.0.0.0:$port"],
    " 127.0.0.1:$port\r\n", ["unix://$path\n"]];
foreach ($forms as $i => $form) {
    Gateway::$registerAddress = $form;
    Gateway::sendToAll("form $i");
    var_dump($a->receive());
}

echo "-- a subclass with properties of its own\n";
class Second extends Gateway
{
    public static $registerAddress;
    public static $secretKey = 's3cret';
}
Second::$registerAddress = $two->register;
Gateway::$registerAddress = $one->register;
Second::sendToAll('to two');
Gateway::sendToAll('to one');
var_dump($a->receive(), $b->receive());

echo "-- more targets than links are kept\n";
for ($i = 0; $i < 20; $i++) {
    Gateway::$registerAddress = array_merge([$one->register], array_fill(0, $i, "127.0.0.1:$port"));
    Gateway::sendToAll("message $i");
}
// Each link has a queue of its own, so that only the messages of one link keep their order.
$messages = $a->receiveMany(20);
sort($messages, SORT_NATURAL);
var_dump($messages === array_map(fn ($i) => "message $i", range(0, 19)));
?>
--EXPECTF--
PushGateway\RefusedException: Can not connect to tcp://TWO the gateway refused the login: %s. Check that Gateway::$secretKey (gateway.secret_key) is the gateway's secret
array(2) {
  [0]=>
  string(3) "one"
  [1]=>
  string(9) "one again"
}
string(3) "two"
-- forms
string(6) "form 0"
string(6) "form 1"
string(6) "form 2"
string(6) "form 3"
string(6) "form 4"
string(6) "form 5"
string(6) "form 6"
string(6) "form 7"
string(6) "form 8"
-- a subclass with properties of its own
string(6) "to one"
string(6) "to two"
-- more targets than links are kept
bool(true)
