--TEST--
The other names are there when somebody asks for them, and give way to classes of the program
--EXTENSIONS--
gateway
--FILE--
<?php
require 'gateway.inc';
use GatewayTest\Php;

$directory = sys_get_temp_dir() . '/gateway-aliases-' . getmypid();
mkdir("$directory/GatewayClient", 0777, true);
mkdir("$directory/GatewayWorker/Lib", 0777, true);
file_put_contents("$directory/Gateway.php", '<?php class Gateway { static $is = "the program\'s own"; }');
file_put_contents("$directory/GatewayException.php", '<?php class GatewayException extends Exception { }');
foreach (['GatewayClient', 'GatewayWorker\Lib'] as $namespace) {
    $file = "$directory/" . strtr($namespace, '\\', '/') . '/Gateway.php';
    file_put_contents($file, "<?php namespace $namespace; class Gateway { static \$is = 'that of the package'; }");
}
$loader = "
    \$loader = function (\$class) {
        \$file = '$directory/' . strtr(\$class, '\\\\', '/') . '.php';
        if (is_file(\$file)) { require \$file; }
    };
";
// The lines tell which class has each name.
$show = '
    function show() {
        foreach (["Gateway", "GatewayClient\\\\Gateway", "GatewayWorker\\\\Lib\\\\Gateway", "GatewayException"] as $name) {
            echo $name, ": ", class_exists($name) ? $name::$is ?? (new ReflectionClass($name))->getName() : "none", "\n";
        }
    }
';
function run(string $title, string $code, array $ini = []): void
{
    global $directory;
    echo "-- $title\n", str_replace($directory, 'DIR', Php::run($code, $ini));
}

run('declared when they are asked for', $show . '
    var_dump(class_exists("Gateway", false), class_exists("GatewayClient\Gateway", false), class_exists("GatewayException", false));
    var_dump(gatewayCLIENT\gateway::$registerAddress, (new ReflectionProperty("GatewayWorker\Lib\Gateway", "secretKey"))->class);
    var_dump(is_callable("Gateway::sendToUid"), is_a("GatewayClient\Gateway", "Gateway", true));
    var_dump(class_exists("GatewayClient\Other"), class_exists("Gateways"));
');
run('a file that declares a class', "
    require '$directory/Gateway.php';
    require_once '$directory/GatewayClient/Gateway.php';
    require_once '$directory/GatewayWorker/Lib/Gateway.php';
    PushGateway\\Gateway::\$secretKey = 'x';
" . $show . 'show();');
run('an autoloader', $show . $loader . 'spl_autoload_register($loader); show();');
run('one that comes later, while others are asked', $show . $loader . '
    spl_autoload_register(function ($class) use ($loader) { spl_autoload_register($loader); });
    show();
');
run('one that fails', '
    spl_autoload_register(function ($class) { throw new LogicException("no file of $class"); });
    echo GatewayTest\thrown(fn () => Gateway::stats()), "\n";
    echo GatewayTest\thrown(fn () => Gateway::isOnline("bad")), "\n";
    echo GatewayTest\thrown(fn () => PushGateway\Gateway::isOnline("bad")), "\n";
');
run('no autoloader any more', $loader . '
    spl_autoload_register($loader);
    array_map("spl_autoload_unregister", spl_autoload_functions());
    var_dump(Gateway::$connectTimeout);
');
run('a class in the same file, and one that extends a name', '
    class Gateway { const IS = "the program\'s own"; }
    class Mine extends \GatewayClient\Gateway { }
    var_dump(Gateway::IS, Mine::$connectTimeout, get_parent_class("Mine"));
');
run('exceptions', '
    try { Gateway::isOnline("bad"); } catch (GatewayException $e) { var_dump($e instanceof \PushGateway\GatewayException); }
    try { throw new GatewayException("by the program"); } catch (\PushGateway\GatewayException $e) { echo $e->getMessage(), "\n"; }
');
run('exceptions beside a class of the program', $loader . '
    spl_autoload_register($loader);
    try {
        PushGateway\Gateway::isOnline("bad");
    } catch (GatewayException $e) {
        echo "not this\n";
    } catch (PushGateway\GatewayException $e) {
        var_dump($e instanceof GatewayException);
    }
');
run('class_alias()', '
    var_dump(class_alias("GatewayClient\Gateway", "G"), class_alias("g", "Name\Of\Mine"), class_alias("\PushGateway\Gateway", "\Third"));
    var_dump(class_alias("GatewayException", "E"), G::$connectTimeout, Name\Of\Mine::$connectTimeout, Third::$connectTimeout);
    class Taken { }
    var_dump(@class_alias("Gateway", "Taken"), error_get_last()["message"]);
    var_dump(class_alias("Taken", "Users"), @class_alias("Nobody", "N"), class_alias("GatewayWorker\Lib\Gateway", "L", true));
    var_dump(@class_alias("GatewayEvents", "V", false));
    echo substr(GatewayTest\thrown(fn () => class_alias("Gateway")), 0, 50), "\n";
');
run('unserialize()', '
    ini_set("unserialize_callback_func", "asked");
    function asked($class) { echo "asked for $class\n"; }
    var_dump(get_class(unserialize(\'O:7:"Gateway":0:{}\')), get_class(@unserialize(\'O:6:"Nobody":0:{}\')));
');
run('gateway.aliases = 0', $show . 'show();', ['gateway.aliases' => 0]);
run('some of them, and one more', $show . 'show(); var_dump(App\Push::$connectTimeout);', [
    'gateway.aliases' => '"GatewayClient\Gateway, \App\Push"',
]);
run('when PHP starts', $loader . $show . '
    spl_autoload_register($loader);
    var_dump(class_exists("Gateway", false), class_exists("GatewayClient\Gateway", false), class_exists("GatewayException", false));
    show();
', ['gateway.aliases' => 'eager']);
run('one of them when PHP starts', $loader . $show . '
    spl_autoload_register($loader);
    show();
', ['gateway.aliases' => '"eager GatewayWorker\Lib\Gateway"']);

echo "-- from request to request\n";
file_put_contents("$directory/asks.php", '<?php echo json_encode([class_exists("Gateway", false), Gateway::$connectTimeout]), "\n";');
file_put_contents("$directory/declares.php", '<?php class Gateway { static $is = "own"; } echo Gateway::$is, "\n";');
file_put_contents("$directory/extends.php", '<?php class Mine extends Gateway { } echo get_parent_class("Mine"), class_alias("Gateway", "G"), "\n";');
$address = GatewayTest\nobody();
$web = new Php('', [], ['-S', $address, '-t', $directory]);
GatewayTest\read_until($web->pipes[2], '/Development Server .* started/', 'web server');
for ($i = 0; $i < 3; $i++) {
    foreach (['asks', 'declares', 'extends'] as $page) {
        echo file_get_contents("http://$address/$page.php");
    }
}
$web->stop();
exec('rm -r ' . escapeshellarg($directory));
?>
--EXPECT--
-- declared when they are asked for
bool(false)
bool(false)
bool(false)
string(14) "127.0.0.1:1236"
string(19) "PushGateway\Gateway"
bool(true)
bool(true)
bool(false)
bool(false)
-- a file that declares a class
Gateway: the program's own
GatewayClient\Gateway: that of the package
GatewayWorker\Lib\Gateway: that of the package
GatewayException: PushGateway\GatewayException
-- an autoloader
Gateway: the program's own
GatewayClient\Gateway: that of the package
GatewayWorker\Lib\Gateway: that of the package
GatewayException: GatewayException
-- one that comes later, while others are asked
Gateway: the program's own
GatewayClient\Gateway: that of the package
GatewayWorker\Lib\Gateway: that of the package
GatewayException: GatewayException
-- one that fails
LogicException: no file of Gateway
LogicException: no file of Gateway
PushGateway\ArgumentException: client_id "bad" is invalid: it must be 20 hexadecimal digits
-- no autoloader any more
int(3)
-- a class in the same file, and one that extends a name
string(17) "the program's own"
int(3)
string(19) "PushGateway\Gateway"
-- exceptions
bool(true)
by the program
-- exceptions beside a class of the program
bool(false)
-- class_alias()
bool(true)
bool(true)
bool(true)
bool(true)
int(3)
int(3)
int(3)
bool(false)
string(62) "Cannot declare class Taken, because the name is already in use"
bool(true)
bool(false)
bool(true)
bool(false)
ArgumentCountError: class_alias() expects at least
-- unserialize()
asked for Nobody
string(19) "PushGateway\Gateway"
string(22) "__PHP_Incomplete_Class"
-- gateway.aliases = 0
Gateway: none
GatewayClient\Gateway: none
GatewayWorker\Lib\Gateway: none
GatewayException: none
-- some of them, and one more
Gateway: none
GatewayClient\Gateway: PushGateway\Gateway
GatewayWorker\Lib\Gateway: none
GatewayException: none
int(3)
-- when PHP starts
bool(true)
bool(true)
bool(true)
Gateway: PushGateway\Gateway
GatewayClient\Gateway: PushGateway\Gateway
GatewayWorker\Lib\Gateway: that of the package
GatewayException: PushGateway\GatewayException
-- one of them when PHP starts
Gateway: the program's own
GatewayClient\Gateway: that of the package
GatewayWorker\Lib\Gateway: PushGateway\Gateway
GatewayException: GatewayException
-- from request to request
[false,3]
own
PushGateway\Gateway1
[false,3]
own
PushGateway\Gateway1
[false,3]
own
PushGateway\Gateway1
