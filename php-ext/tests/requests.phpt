--TEST--
A process that serves many requests keeps its link, and starts each with fresh properties
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
use GatewayTest\Php;

$server = new GatewayTest\Server;
$proxy = new GatewayTest\Proxy($server->register);
$client = $server->connect();
$root = sys_get_temp_dir() . '/gateway-requests-' . getmypid();
mkdir($root);
file_put_contents("$root/send.php", '<?php
    echo json_encode([Gateway::$registerAddress, Gateway::$secretKey, Gateway::$connectTimeout]);
    Gateway::sendToAll($_GET["message"]);
    Gateway::$registerAddress = "10.0.0.1:1236";
    Gateway::$secretKey = "x";
    Gateway::$connectTimeout = 17;
');
file_put_contents("$root/fatal.php", '<?php Gateway::sendToAll("fatal"); no_such_function();');
file_put_contents("$root/idle.php", '<?php echo "idle";');

$listener = stream_socket_server('tcp://127.0.0.1:0');
$address = stream_socket_get_name($listener, false);
fclose($listener);
// Connections are counted: a gateway that is slow to answer would get a second one, in case it is GatewayWorker's register.
$web = new Php('', [
    'gateway.register_address' => $proxy->address,
    'gateway.connect_timeout' => '2.5',
    'gateway.protocol' => 'bridge',
], ['-S', $address, '-t', $root]);
GatewayTest\read_until($web->pipes[2], '/Development Server .* started/', 'web server');
$get = fn ($path) => file_get_contents("http://$address/$path", false, stream_context_create(['http' => ['ignore_errors' => true]]));

for ($i = 0; $i < 50; $i++) {
    $shown = json_decode($get("send.php?message=request$i"));
    if ($shown !== [$proxy->address, '', 2.5] || $client->receive() !== "request$i") {
        echo "request $i: ", json_encode($shown), "\n";
    }
}
var_dump($get('idle.php'), str_contains($get('fatal.php'), 'no_such_function'), $client->receive());
$get('send.php?message=after');
var_dump($client->receive());
echo 'connections: ', $proxy->tell('count'), "\n";
$proxy->tell('cut');
$get('send.php?message=cut');
var_dump($client->receive());
$web->stop();
array_map('unlink', glob("$root/*"));
rmdir($root);
?>
--EXPECT--
string(4) "idle"
bool(true)
string(5) "fatal"
string(5) "after"
connections: 1
string(3) "cut"
