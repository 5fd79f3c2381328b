--TEST--
What a request leaves of an event ends with the request: its client, and the function that is told of sessions
--EXTENSIONS--
gateway
session
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
$client = $server->connect();
$root = sys_get_temp_dir() . '/gateway-requests-events-' . getmypid();
mkdir($root);
file_put_contents("$root/join.php", '<?php GatewayEvents::join("worker");');
file_put_contents("$root/joined.php", '<?php echo GatewayEvents::next(100) ? "joined" : "not yet";');
file_put_contents("$root/event.php", '<?php
    while ((GatewayEvents::next()[0] ?? null) !== "message") {}
    $told = str_repeat("told ", 2);
    GatewayEvents::onSession(fn ($whole, $session) => print $told . json_encode($session));
    Gateway::setSession($_GET["id"], ["n" => 1]);
    $state = [];
    GatewayEvents::onSession(function ($whole, $session) use (&$state) {
        $state[] = $session;
    });
    Gateway::setSession($_GET["id"], ["n" => 2]);
    echo json_encode($state);
');
// PHP writes its sessions after the extension\'s own end of the request.
file_put_contents("$root/late.php", '<?php
    class Late extends SessionHandler
    {
        public function write($id, $data): bool
        {
            $kept = str_repeat("kept ", 100);
            GatewayEvents::onSession(fn () => print $kept);
            GatewayEvents::onSession([$this, "told"]);
            return true;
        }
        public function told()
        {
            echo "never";
        }
    }
    session_save_path(sys_get_temp_dir());
    session_set_save_handler(new Late, false);
    session_start(["use_cookies" => 0]);
    $_SESSION["changed"] = 1;
    echo "late";
');
file_put_contents("$root/after.php", '<?php
    // The freed memory is used again.
    $garbage = array_map(fn ($length) => str_repeat("G", $length), range(1, 1000));
    Gateway::setSession($_GET["id"], ["n" => 3]);
    try {
        Gateway::sendToCurrentClient("never");
    } catch (GatewayException $e) {
        echo substr($e->getMessage(), 0, 80);
    }
');

$address = GatewayTest\nobody();
$web = new Php('', ['gateway.register_address' => $server->register], ['-S', $address, '-t', $root]);
GatewayTest\read_until($web->pipes[2], '/Development Server .* started/', 'web server');
$get = fn ($path) => file_get_contents("http://$address/$path?id=$client->id", false, stream_context_create(['http' => ['ignore_errors' => true]]));
$get('join.php');
// The gateway may hear the client before it has read that the worker joins, and then nobody is told of the message.
do {
    $client->send('is a worker there?');
} while ($get('joined.php') !== 'joined');
for ($i = 0; $i < 3; $i++) {
    $client->send('hello');
    var_dump($get('event.php'), $get('after.php'), $get('late.php'), $get('after.php'));
}
var_dump(Php::run('echo "ended\n";'));
$web->stop();
array_map('unlink', glob("$root/*"));
rmdir($root);
?>
--EXPECT--
string(26) "told told {"n":1}[{"n":2}]"
string(80) "Gateway::sendToCurrentClient() can be called only while an event of a client is "
string(4) "late"
string(80) "Gateway::sendToCurrentClient() can be called only while an event of a client is "
string(26) "told told {"n":1}[{"n":2}]"
string(80) "Gateway::sendToCurrentClient() can be called only while an event of a client is "
string(4) "late"
string(80) "Gateway::sendToCurrentClient() can be called only while an event of a client is "
string(26) "told told {"n":1}[{"n":2}]"
string(80) "Gateway::sendToCurrentClient() can be called only while an event of a client is "
string(4) "late"
string(80) "Gateway::sendToCurrentClient() can be called only while an event of a client is "
string(6) "ended
"
