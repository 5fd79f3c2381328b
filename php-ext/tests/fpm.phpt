--TEST--
PHP-FPM: a pool's own settings, and a link for each child
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

$server = new GatewayTest\Server('s3cret');
$proxy = new GatewayTest\Proxy($server->register);
$client = $server->connect();
$fpm = new GatewayTest\Fpm([
    'php_admin_value[gateway.register_address]' => $proxy->address,
    'php_value[gateway.secret_key]' => 's3cret',
    'php_admin_value[gateway.connect_timeout]' => '2.5',
]);
file_put_contents("$fpm->root/send.php", '<?php
    echo json_encode([Gateway::$registerAddress, Gateway::$secretKey, Gateway::$connectTimeout]);
    Gateway::sendToAll($_SERVER["QUERY_STRING"]);
    Gateway::$registerAddress = "10.0.0.1:1236";
    Gateway::$secretKey = "x";
    Gateway::$connectTimeout = 17;
');
file_put_contents("$fpm->root/info.php", '<?php phpinfo(INFO_MODULES);');
for ($i = 0; $i < 100; $i++) {
    $shown = $fpm->get('send.php', "request$i");
    $message = $client->receive();
    if (json_decode($shown) !== [$proxy->address, 's3cret', 2.5] || $message !== "request$i") {
        echo "request $i: $shown $message\n";
    }
}
$connections = $proxy->tell('count');
echo $connections >= 1 && $connections <= 2 ? "a link for each child\n" : "$connections connections\n";
var_dump(str_contains($fpm->get('info.php'), 's3cret'));
// SIGQUIT ends the children as the reload of a pool does.
var_dump($fpm->stop(3));
?>
--EXPECT--
a link for each child
bool(false)
int(0)
