--TEST--
Sessions make no objects but of allowed classes, and keep those of others as they are
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
Gateway::$registerAddress = $server->register;
$client = $server->connect();
$id = $client->id;
$file = tempnam(sys_get_temp_dir(), 'gateway');

/** Classes whose objects tell when they are made, looked up or let go. */
const CLASSES = '
    // The names of class Gateway are asked for too.
    spl_autoload_register(function (string $class): void { str_starts_with($class, "Gateway") || print("looked for $class\n"); });
    class Cart { public $items = []; private $self; protected $p = 1;
        function __construct() { $this->self = $this; }
        function __wakeup(): void { echo "woken\n"; } function __destruct() { echo "destroyed\n"; } }
    class Money { public $cents = 5;
        function __serialize(): array { return [$this->cents, "k" => 1]; }
        function __unserialize(array $data): void { echo "unserialized\n"; $this->cents = $data[0]; } }
    class Legacy implements Serializable { public $data = "\";}i:0;";
        function serialize() { return $this->data; }
        function unserialize($data) { echo "unserialized\n"; $this->data = $data; } }
    enum Suit: string { case Hearts = "h"; }
';
$ini = ['gateway.register_address' => $server->register, 'error_reporting' => E_ALL & ~E_DEPRECATED];
function run(string $code, array $more = []): void
{
    global $ini, $id, $file;
    echo Php::run(CLASSES . "\$id = '$id'; \$file = '$file'; $code", [...$ini, ...$more]);
}
$everything = '
    $cart = new Cart; $legacy = new Legacy; $list = [1];
    $everything = ["name" => "Ann", "cart" => $cart, "deep" => ["again" => $cart, "suit" => Suit::Hearts, "list" => &$list],
        "legacy" => $legacy, "more" => [$legacy, Suit::Hearts, Suit::Hearts], "by reference" => &$list];
';

echo "-- by default none is made, nothing is looked up, and one warning a process says so\n";
run("$everything Gateway::setSession(\$id, \$everything); \$cart = \$everything = null; gc_collect_cycles();");
run('
    $session = Gateway::getSession($id);
    var_dump($session["name"], get_class($session["cart"]), $session["cart"] === $session["deep"]["again"]);
    var_dump(get_class($session["deep"]["suit"]), get_class($session["legacy"]), $session["legacy"] === $session["more"][0]);
    $session["list by reference"] = 1; $session["by reference"][] = 2;
    var_dump($session["deep"]["list"]);
    foreach ([Gateway::getAllClientSessions(), Gateway::getClientSessionsByGroup(["none"])] as $sessions) {
        echo count($sessions), "\n";
    }
');

echo "-- read and written by one who may not, they are what they were\n";
run("$everything \$everything['money'] = new Money; Gateway::setSocketSession(\$id, serialize(\$everything));
    file_put_contents(\$file, serialize(\$everything)); \$cart = \$everything = null; gc_collect_cycles();");
run('Gateway::setSession($id, @Gateway::getSession($id)); Gateway::updateSession($id, ["name" => "Ann"]);');
run('
    $session = Gateway::getSession($id);
    echo serialize($session) === file_get_contents($file) ? "same" : serialize($session), "\n";
    var_dump($session["deep"]["suit"] === Suit::Hearts, $session["legacy"]->data, $session["money"]);
    $session = null; gc_collect_cycles();
', ['gateway.session_classes' => '*']);

echo "-- some\n";
run('
    $session = @Gateway::getSession($id);
    var_dump($session["more"][1], get_class($session["cart"]), get_class($session["legacy"]), get_class($session["money"]));
', ['gateway.session_classes' => ' SUIT , \money']);
run('
    ini_set("gateway.session_classes", "Suit,Cart,Legacy Money");
    set_error_handler(function ($code, $text) { echo "told: $text\n"; });
    var_dump(get_class(Gateway::getSession($id)["money"]));
    gc_collect_cycles();
');

echo "-- a handler of the warning that changes the setting changes nothing of this call\n";
run('
    set_error_handler(fn () => ini_set("gateway.session_classes", str_repeat("x", 200)) !== null);
    var_dump(get_class(Gateway::getSession($id)["money"]));
', ['gateway.session_classes' => 'Suit,' . str_repeat('Money ', 30)]);

echo "-- what nobody understands is given to nobody\n";
$text = 'a:1:{i:0;S:1:"\41";}';
run("var_dump(\GatewayEvents::readSession('$text'));");
unlink($file);
?>
--EXPECTF--
-- by default none is made, nothing is looked up, and one warning a process says so
destroyed

Warning: PushGateway\Gateway::getSession(): a session holds an object of class Cart, which gateway.session_classes does not allow: it is kept as it is, but cannot be used here in Command line code on line %d
string(3) "Ann"
string(22) "__PHP_Incomplete_Class"
bool(true)
string(22) "__PHP_Incomplete_Class"
string(22) "__PHP_Incomplete_Class"
bool(true)
array(2) {
  [0]=>
  int(1)
  [1]=>
  int(2)
}
1
0
-- read and written by one who may not, they are what they were
destroyed
unserialized
woken
unserialized
same
bool(true)
string(7) "";}i:0;"
object(Money)#%d (1) {
  ["cents"]=>
  int(5)
}
destroyed
-- some
unserialized
enum(Suit::Hearts)
string(22) "__PHP_Incomplete_Class"
string(22) "__PHP_Incomplete_Class"
string(5) "Money"
unserialized
woken
unserialized
string(5) "Money"
destroyed
-- a handler of the warning that changes the setting changes nothing of this call
unserialized
string(5) "Money"
-- what nobody understands is given to nobody

%r(Notice|Warning)%r: PushGateway\GatewayEvents::readSession(): Error at offset 9 of 9 bytes in Command line code on line %d
bool(false)
