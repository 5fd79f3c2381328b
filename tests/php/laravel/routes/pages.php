<?php

use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\Route;

Route::get('/login', fn () => response('log in first', 403))->name('login');
Route::get('/login/{id}', fn (int $id) => (string) Auth::loginUsingId($id)->getKey());
Route::get('/write', fn () => '<form method="post" action="/comments">' . csrf_field()
    . '<input id="to" name="to"><input id="text" name="text"><button></button></form>');
