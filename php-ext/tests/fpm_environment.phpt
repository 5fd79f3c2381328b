--TEST--
A key from the environment reaches the pages of PHP-FPM by php.ini and by the pool, and getenv() is empty there
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require 'gateway.inc';
require 'fpm.inc';
if (GatewayTest\fpm_binary() === null) {
    die('skip no php-fpm of this version');
}
?>
--FILE--
<?php
require 'gateway.inc';
require 'fpm.inc';
use GatewayTest\Fpm;

putenv('GATEWAY_TOKEN_KEY=of the environment');
$script = <<<'PHP'
<?php
var_dump(getenv('GATEWAY_TOKEN_KEY'), Gateway::$tokenKey);
try {
    Gateway::$tokenKey = getenv('GATEWAY_TOKEN_KEY');
    var_dump(strlen(Gateway::token(7)) > 0);
} catch (GatewayException $e) {
    echo $e->getMessage(), "\n";
}
PHP;

foreach ([
    'by php.ini' => [[], 'gateway.token_key = ${GATEWAY_TOKEN_KEY}'],
    'by the pool' => [['php_admin_value[gateway.token_key]' => 'of the pool'], ''],
    'by a variable of the pool' => [['env[GATEWAY_TOKEN_KEY]' => '$GATEWAY_TOKEN_KEY'], ''],
] as $how => [$pool, $ini]) {
    echo "-- $how\n";
    $fpm = new Fpm($pool, [], $ini);
    file_put_contents("$fpm->root/page.php", $script);
    echo $fpm->get('page.php');
    $fpm->stop();
}
?>
--EXPECT--
-- by php.ini
bool(false)
string(18) "of the environment"
a token has to be signed: set Gateway::$tokenKey, or gateway.token_key in php.ini, to the token_key of gateway-server, or Gateway::$secretKey to its secret_key. If the key comes of getenv(): PHP-FPM hands no environment on unless its pool has clear_env = no
-- by the pool
bool(false)
string(11) "of the pool"
a token has to be signed: set Gateway::$tokenKey, or gateway.token_key in php.ini, to the token_key of gateway-server, or Gateway::$secretKey to its secret_key. If the key comes of getenv(): PHP-FPM hands no environment on unless its pool has clear_env = no
-- by a variable of the pool
string(18) "of the environment"
string(0) ""
bool(true)
