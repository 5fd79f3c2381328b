--TEST--
Class Gateway: its names, its properties, its exception
--EXTENSIONS--
gateway
--FILE--
<?php
foreach (['Gateway', 'GatewayClient\Gateway', 'GatewayWorker\Lib\Gateway'] as $alias) {
    echo "$alias is ", (new ReflectionClass($alias))->getName(), "\n";
}
var_dump((new ReflectionClass('Gateway'))->getStaticProperties());

echo "-- shared by all names and by subclasses\n";
class Push extends GatewayClient\Gateway
{
    // GatewayWorker's class allows this: no types, and one more parameter.
    public static function sendToUid($uid, $message, $raw = false, $more = 1)
    {
    }
}
GatewayWorker\Lib\Gateway::$registerAddress = ['10.0.0.1:1236', '10.0.0.2:1236'];
$secret = &Gateway::$secretKey;
$secret = 'by reference';
var_dump(Push::$registerAddress === Gateway::$registerAddress, GatewayClient\Gateway::$secretKey);
var_dump(new Push instanceof Gateway, new Gateway instanceof GatewayClient\Gateway);

echo "-- the exception\n";
var_dump(get_parent_class('GatewayException'));
$e = new GatewayException('words', 7);
var_dump($e->getMessage(), $e->getCode(), $e->getLine(), basename($e->getFile()));
var_dump(class_exists('GatewayClient\GatewayException', false));
try {
    Gateway::isOnline('not a client_id');
} catch (Exception $e) {
    var_dump(get_class($e), $e instanceof GatewayException, $e->getCode(), $e->getLine(), $e->getTrace()[0]['function']);
}
?>
--EXPECTF--
Gateway is PushGateway\Gateway
GatewayClient\Gateway is PushGateway\Gateway
GatewayWorker\Lib\Gateway is PushGateway\Gateway
array(6) {
  ["registerAddress"]=>
  string(14) "127.0.0.1:1236"
  ["secretKey"]=>
  string(0) ""
  ["tokenKey"]=>
  string(0) ""
  ["connectTimeout"]=>
  int(3)
  ["persistentConnection"]=>
  bool(true)
  ["addressesCacheDisable"]=>
  bool(false)
}
-- shared by all names and by subclasses
bool(true)
string(12) "by reference"
bool(true)
bool(true)
-- the exception
string(9) "Exception"
string(5) "words"
int(7)
int(%d)
string(9) "class.php"
bool(false)
string(29) "PushGateway\ArgumentException"
bool(true)
int(4)
int(%d)
string(8) "isOnline"
