<h1>Welcome</h1>
