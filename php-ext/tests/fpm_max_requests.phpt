--TEST--
PHP-FPM: a child that ends after pm.max_requests delivers what it has, and the next one goes on
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require 'gateway.inc';
require 'fpm.inc';
GatewayTest\skip_without_server();
if (!GatewayTest\fpm_binary()) die('skip there is no php-fpm of this PHP; PHP_FPM may name one');
?>
--FILE--
<?php
require 'gateway.inc';
require 'fpm.inc';

$server = new GatewayTest\Server;
$proxy = new GatewayTest\Proxy($server->register);
$client = $server->connect();
$fpm = new GatewayTest\Fpm([
    'pm.max_requests' => 5,
    'php_admin_value[gateway.register_address]' => $proxy->address,
    // Connections are counted: a gateway that is slow to answer would get a second one, in case it is GatewayWorker's register.
    'php_admin_value[gateway.protocol]' => 'bridge',
    // With this setting only the child's end waits.
    'php_admin_value[gateway.flush_timeout]' => 0,
]);
file_put_contents("$fpm->root/send.php", '<?php
    for ($i = 0; $i < 20; $i++) {
        Gateway::sendToAll("$_SERVER[QUERY_STRING] $i");
    }
    echo getmypid();
');
$served = [];
for ($request = 0; $request < 100; $request++) {
    $served[] = $fpm->get('send.php', $request);
}
$next = array_fill(0, 100, 0);
foreach ($client->receiveMany(2000) as $message) {
    [$request, $number] = explode(' ', $message);
    if ($next[$request]++ !== (int) $number) {
        echo "out of turn: $message\n";
    }
}
var_dump($next === array_fill(0, 100, 20));
$of_each = array_count_values($served);
var_dump(max($of_each), count($of_each) >= 20, $proxy->tell('count') === count($of_each));
var_dump($fpm->stop(3));
Gateway::$registerAddress = $server->register;
Gateway::sendToAll('nothing came twice');
var_dump($client->receive());
?>
--EXPECT--
bool(true)
int(5)
bool(true)
bool(true)
int(0)
string(18) "nothing came twice"
